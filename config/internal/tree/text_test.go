package tree

import (
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/token"
)

// A text is formatted so that it is read back unchanged.
func TestYAMLText(t *testing.T) {
	for text, want := range map[string]string{
		"": "''", "a": "a", "a b": "'a b'", "it's": "'it''s'", "true": "'true'", "null": "'null'", "~": "'~'", "5": "5", "5x": "5x",
		"-5": "'-5'", "+5": "'+5'", ".5": "'.5'", "1.2": "1.2", "10.0.0.0/8": "10.0.0.0/8", "::1": "'::1'", ":8443": ":8443", "a:": "'a:'",
		"a: b": "'a: b'", "a:b": "a:b", "#x": "'#x'", "*x": "'*x'", "{x}": "'{x}'", "-": "'-'", "a\tb": `"a\tb"`, "a\x7f": `"a\x7f"`,
		"https://x.org/": "https://x.org/", "ä": "'ä'", ".inf": "'.inf'", "Infinity": "Infinity",
	} {
		got := yamlText(text)
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		p, wrong := decoded("free: {x: " + anyYAML(text) + "}\nname: " + got + "\n")
		if p.Name != text || p.Free["x"] != text || wrong != "" {
			t.Errorf("%q is read as %q and %#v, %s", text, p.Name, p.Free["x"], wrong)
		}
	}
}

// The displayed form of an invalid value is short, and contains no password.
func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"x":                     `"x"`,
		strings.Repeat("ä", 60): `"` + strings.Repeat("ä", 60) + `"`,
		strings.Repeat("ä", 61): `"` + strings.Repeat("ä", 60) + `…"`,
		"redis://a:b@h/0":       `"redis://[redacted]@h/0"`,
		"redis://a:b@ h/0":      `"redis://[redacted]@ h/0"`,
		"https://h/?token=x":    `"https://h/?token=[redacted]"`,
		"a://b c":               `"a://b c"`,
		"a://@ h":               `"a://[redacted]@ h"`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// A line has at most width columns, including the indent; a longer word has its own line.
func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text, indent string
		width        int
		want         string
	}{
		{"", "  ", 9, ""},
		{"aa bb", "", 5, "aa bb"},
		{"aa bb", "", 4, "aa\nbb"},
		{"aa bb", "  ", 7, "  aa bb"},
		{"aa bb", "  ", 6, "  aa\n  bb"},
		{"aa bb cc", " ", 6, " aa bb\n cc"},
		{"ää öö ü", "", 5, "ää öö\nü"},
		{"  aaaa \n b", "", 2, "aaaa\nb"},
	} {
		if got := wrap(tt.text, tt.indent, tt.width); got != tt.want {
			t.Errorf("%q in %d columns: %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestOneOf(t *testing.T) {
	for want, list := range map[string][]string{"": nil, "a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"}} {
		if got := OneOf(list); got != want {
			t.Errorf("%q: %q", list, got)
		}
	}
}

// For an unknown key, the paths at which a key with this name exists are suggested, unless there are many.
func TestUnknownKeys(t *testing.T) {
	for document, want := range map[string]string{
		"fingers: 3":      "f.yaml:1:1: fingers: there is no such key; the key exists as by.*.hand.fingers",
		"token_file: 3":   "f.yaml:1:1: token_file: there is no such key; expected name, jobs, by, room or free",
		"key_file: 3":     "f.yaml:1:1: key_file: there is no such key; the key exists as room.key_file",
		"room: {name: x}": "f.yaml:1:8: room.name: there is no such key; the key exists as name, jobs[].do.foo.name",
		"size: 3":         "f.yaml:1:1: size: there is no such key; the key exists as jobs[].do.foo.size, by.*.hand.size, room.size",
		"label: 3":        "f.yaml:1:1: label: there is no such key; expected name, jobs, by, room or free",
		"romo: 3":         "f.yaml:1:1: romo: there is no such key; did you mean room?",
		"'a.b c': 3":      `f.yaml:1:1: "a.b c": there is no such key; expected name, jobs, by, room or free`,
		"&x a: 3":         "f.yaml:1:1: not a key; expected a word", "!!str a: 3": "f.yaml:1:1: not a key; expected a word",
		".inf: 3": "f.yaml:1:1: not a key; expected a word", "5: x": "f.yaml:1:1: 5: there is no such key; expected name, jobs, by, room or free",
		"'': 3":                                  `f.yaml:1:1: "": there is no such key; expected name, jobs, by, room or free`,
		"qqqqz: 3":                               "f.yaml:1:1: qqqqz: there is no such key; expected name, jobs, by, room or free",
		"0qqqq: 3":                               "f.yaml:1:1: 0qqqq: there is no such key; expected name, jobs, by, room or free",
		"qq-qq: 3":                               "f.yaml:1:1: qq-qq: there is no such key; expected name, jobs, by, room or free",
		"room: {size: 3, key: abc, key_file: x}": "f.yaml:1:27: room.key_file: key is also given; expected one of the two",
		"room: {key_file: ''}":                   "f.yaml:1:18: room.key_file: this is one value; expected the path of a file",
		"room: {key_file: }":                     "f.yaml:1:8: room.key_file: empty value; expected the path of a file",
	} {
		if _, wrong := decoded(document + "\n"); wrong != want {
			t.Errorf("%s: %s\nwant %s", document, wrong, want)
		}
	}
}

// The bounds themselves are allowed values.
func TestBounds(t *testing.T) {
	for document, want := range map[string]string{
		"jobs: [{id: a, do: bar, rate: 0}]":              "",
		"jobs: [{id: a, do: bar, rate: 1}]":              "",
		"jobs: [{id: a, do: bar, rate: 1.01}]":           "jobs[0].rate: 1.01 is more than 1; expected 0 to 1",
		"jobs: [{id: a, do: bar, rate: -0.01}]":          "jobs[0].rate: -0.01 is less than 0; expected 0 to 1",
		"jobs: [{id: a, do: bar, rate: .inf}]":           `jobs[0].rate: ".inf": not a number; expected a number`,
		"jobs: [{id: a, do: bar, rate: .nan}]":           `jobs[0].rate: ".nan": not a number; expected a number`,
		"jobs: [{id: a, do: {foo: {name: x, size: 9}}}]": "",
		"by: {a: {hand: {fingers: 1}}}":                  "",
		"by: {a: {tool: {kind: san}}}":                   `by.a.tool.kind: "san" is not an allowed value; did you mean saw?; expected saw or drill`,
		"by: {a: {tool: {kind: ''}}}":                    "by.a.tool.kind: required; expected saw or drill",
		"by: {a: {}}":                                    "by.a: empty; expected one of hand or tool",
		"by: {a: ~}":                                     "by.a: empty; expected one of hand or tool",
		"by: [a]":                                        "by: this is a list; expected a mapping of names",
		"by: {a: hand}":                                  "",
		"by: ~":                                          "",
		"room: 5":                                        "",
		"room: [5]":                                      "room: this is a list; expected a mapping with size, key, key_file, light or label",
		"room: {key: no}":                                "room.key: it has 2 bytes; expected a secret",
		"room: {light: 'true'}":                          `room.light: "true" is a string because of its quotes; expected true or false without quotes`,
		"room: {size: 1_000}":                            `room.size: "1_000": not a whole number; expected a whole number`,
	} {
		_, wrong := decoded(document + "\n")
		if i := strings.Index(wrong, ": "); i > 0 {
			wrong = wrong[i+2:]
		}
		if wrong != want {
			t.Errorf("%s: %s\nwant %s", document, wrong, want)
		}
	}
}

// Invalid YAML, or a document that exceeds the limits, is one problem with its position.
func TestInvalidYAML(t *testing.T) {
	for document, want := range map[string]string{
		"a: [1\n":                        "f.yaml:1:4: not valid YAML: sequence end token ']' not found; expected a YAML document",
		"a:\n\t- b\n":                    "f.yaml:2:1: not valid YAML: a tab where only spaces are allowed; expected a YAML document",
		"a: \"x\n":                       "f.yaml:1:4: not valid YAML: could not find end character of double-quoted text; expected a YAML document",
		"\xff\xfea":                      "f.yaml:1:1: the file is UTF-16; expected a YAML document in UTF-8",
		"\xfe\xffa":                      "f.yaml:1:1: the file is UTF-16; expected a YAML document in UTF-8",
		"a: \x01\n":                      "f.yaml:1:4: not UTF-8 text, or a control character; expected a YAML document",
		"a: b\xff\n":                     "f.yaml:1:5: not UTF-8 text, or a control character; expected a YAML document",
		"%YAML 1.2\n---\na: 1\n":         "f.yaml:1:1: directives are not supported here",
		"name: a\n---\nname: b\n":        "f.yaml:2:1: a second document begins here; expected one document in a file",
		"---\n# nothing\n---\nname: b\n": "",
		"a: 1\n b: 2\n":                  "f.yaml:1:4: not valid YAML: mapping value is not allowed in this context; expected a YAML document",
		"\ufeffname: x\n":                "",
		"name: !!str x\n":                "f.yaml:1:7: name: tags are not supported here",
		"name: *x\n":                     "f.yaml:1:7: name: there is no anchor &x before this",
		"? [a]\n: b\n":                   "f.yaml:2:1: not valid YAML: found an invalid key for this map; expected a YAML document",
		"name: a\nname: b\n":             "f.yaml:2:1: name: the key is repeated: line 1 has the same key; write the key once",
		"<<: 1\n":                        "f.yaml:1:5: << needs a mapping",
		"name: a\r\nrom: 1\r\n":          "f.yaml:2:1: rom: there is no such key; did you mean room?",
		"name: a\n...\nname: b\n":        "f.yaml:3:5: a second document begins here; expected one document in a file",
	} {
		if _, wrong := decoded(document); wrong != want {
			t.Errorf("%q: %s\nwant %s", document, wrong, want)
		}
	}
}

// The position of a mapping is that of its first key, and the position of a list is its beginning.
func TestWhere(t *testing.T) {
	for document, want := range map[string]string{
		"name:\n  a: 1\n":         "f.yaml:2:3: name: this is a mapping; expected text",
		"name:\n  a: 1\n  b: 2\n": "f.yaml:2:3: name: this is a mapping; expected text",
		"name: {a: 1}\n":          "f.yaml:1:7: name: this is a mapping; expected text",
		"name: {}\n":              "f.yaml:1:7: name: this is a mapping; expected text",
		"name:\n- a\n":            "f.yaml:2:1: name: this is a list; expected text",
		"name:\n":                 "f.yaml:1:1: name: empty value; expected text",
		"by:\n  - a: 1\n":         "f.yaml:2:3: by: this is a list; expected a mapping of names",
	} {
		if _, wrong := decoded(document); wrong != want {
			t.Errorf("%q: %s\nwant %s", document, wrong, want)
		}
	}
}

// Doc finds a key with and without brackets, stars and names.
func TestDoc(t *testing.T) {
	r := NewReference(&plan{}, Comments{"plan.Name": "What it is called.", "tool": strings.Repeat("tools ", 20), "foo": "Foo."})
	for key, want := range map[string]string{
		"name": "name", "jobs[0].rate": "jobs[].rate", "jobs[].rate": "jobs[].rate", "jobs.rate": "jobs[].rate", "by.hand": "by.*.hand",
		"by.anna.hand": "by.*.hand", "by.*.hand": "by.*.hand", "by.hand.fingers": "by.*.hand.fingers", "by.anna": "by.*", "by": "by.*",
		"jobs.do.foo": "jobs[].do.foo", "room": "room", "free": "free",
	} {
		text, instead := r.Doc(key)
		if first, _, _ := strings.Cut(strings.TrimSpace(text), "\n"); strings.Fields(first + " x")[0] != want || instead != nil {
			t.Errorf("%s: %q, %q", key, text, instead)
		}
	}
	for key, want := range map[string]string{"rat": "", "fingers": "by.*.hand.fingers", "jobs.do.fo": "jobs.do.foo", "jobs[].wo": "jobs[].do"} {
		text, instead := r.Doc(key)
		if text != "" || strings.Join(instead, " ") != want {
			t.Errorf("%s: %q, %q", key, text, instead)
		}
	}
	if all, _ := r.Doc(""); !strings.Contains(all, "by.*.tool") || strings.Count(all, "tools tools") < 5 || !strings.Contains(all, "What it is called.") {
		t.Errorf("all: %s", all)
	}
}

// The comments on structs and their fields are each joined to one line, without the name of the type.
func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"T is a thing.": "A thing.", "T are things.": "Things.", "T says so.": "So.", "T does it.": "Does it.", "It is one.": "It is one.", "": "",
		"T ändert.": "Ändert.",
	} {
		if got := sentence("T", text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := wantOf(reflect.TypeFor[bar]()); got != "nothing, or {}" {
		t.Errorf("a struct without keys: %q", got)
	}
}

// A position is always within the document, whatever the parser returns.
func TestPlace(t *testing.T) {
	l := linesOf([]byte("ab\r\n\näöü\rx"))
	for _, tt := range []struct{ line, column, wantLine, wantColumn int }{
		{1, 1, 1, 1}, {1, 3, 1, 3}, {1, 4, 1, 3}, {2, 9, 2, 1}, {3, 4, 3, 4}, {3, 5, 3, 4}, {4, 2, 4, 2}, {5, 1, 4, 1}, {0, 0, 1, 1},
	} {
		got := l.place("f", &token.Token{Position: &token.Position{Line: tt.line, Column: tt.column}})
		if got != (Pos{"f", tt.wantLine, tt.wantColumn}) {
			t.Errorf("%d:%d: %v", tt.line, tt.column, got)
		}
	}
	for _, none := range []*token.Token{nil, {}} {
		if got := l.place("f", none); got != (Pos{"f", 1, 1}) {
			t.Errorf("no position: %v", got)
		}
	}
	if got := offset("f", []byte("a\näb\x00"), 5); got != (Pos{"f", 2, 3}) {
		t.Errorf("offset %v", got)
	}
}

// Problems are sorted by position.
func TestErrorOrder(t *testing.T) {
	at := func(file string, line, column int) *Problem { return &Problem{Pos: Pos{file, line, column}, Text: "x"} }
	err := NewError([]*Problem{at("b", 1, 1), at("a", 2, 1), at("a", 1, 2), at("a", 1, 1), {Text: "y"}})
	if got := strings.ReplaceAll(err.Error(), "\n", " "); got != "y a:1:1: x a:1:2: x a:2:1: x b:1:1: x" {
		t.Error(got)
	}
	if NewError(nil) != nil {
		t.Error("an error without problems")
	}
	p := &Problem{Pos: Pos{File: "--x"}, Path: "p", Text: "t", Want: "w", Hint: "h"}
	if got := p.Error(); got != "--x: p: t; h; expected w" {
		t.Error(got)
	}
}
