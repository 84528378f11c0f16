package tree

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// nested contains a type twice, and a recursive type.
type nested struct {
	Left  room     `yaml:"left"`
	Right room     `yaml:"right"`
	Down  *nested  `yaml:"down"`
	Do    task     `yaml:"do"`
	Words []string `yaml:"words"`
	Mode  string   `yaml:"mode" enum:"on|off"`
}

// The keys of a type are explained at its first occurrence; other occurrences refer to the explanation.
func TestReferenceOfSameKeys(t *testing.T) {
	r := NewReference(&nested{}, Comments{"nested.Right": "The other side."})
	if got, want := strings.Join(r.Keys(), " "), "left right down do words mode left.size left.key left.light left.label "; !strings.HasPrefix(got, want) ||
		strings.Contains(got, "right.size") || strings.Contains(got, "down.") {
		t.Errorf("keys %s", got)
	}
	md := r.Markdown()
	for _, want := range []string{"### `right`\n\nThe other side.\n\nThe keys are those of `left`.\n\n### `down`", "### `left`\n\n- **`size`**",
		"- **`words`** (list of texts)"} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in\n%s", want, md)
		}
	}
	if got, _ := r.Doc("right"); got != "right\n  The other side.\n  The keys are those of left.\n" {
		t.Errorf("Doc %q", got)
	}
	if got, _ := r.Doc("left.size"); got != "  left.size  (whole number, default 1)\n\n" {
		t.Errorf("Doc %q", got)
	}
}

// A key matches a path with or without brackets, indexes and the names of entries.
func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		path, key    string
		below, names bool
		want         bool
	}{
		{"a", "a", false, false, true},
		{"a", "b", false, false, false},
		{"a.b", "a", false, false, false},
		{"a.b", "a", true, false, true},
		{"a.b.c", "a", true, false, true},
		{"a", "a.b", true, false, false},
		{"a.b", "b", true, true, false},
		{"a[].b", "a.b", false, false, true},
		{"a[].b", "a[3].b", false, false, true},
		{"a[].b", "a[].b", false, false, true},
		{"a.*.b", "a.b", false, false, true},
		{"a.*.b", "a.*.b", false, false, true},
		{"a.*.b", "a.x.b", false, false, false},
		{"a.*.b", "a.x.b", false, true, true},
		{"a.*.b", "a.x.c", false, true, false},
		{"a.*", "a", false, false, false},
		{"a.*", "a.x", false, true, true},
		{"a.*.b", "a", false, false, false},
		{"a.*.b", "a", true, false, true},
		{"", "a", true, true, false},
	} {
		if got := matches(tt.path, tt.key, tt.below, tt.names); got != tt.want {
			t.Errorf("matches(%q, %q, %t, %t) is %t", tt.path, tt.key, tt.below, tt.names, got)
		}
	}
}

// A long comment on a type is a paragraph in addition to the comment on the key.
func TestReferenceAboutTypes(t *testing.T) {
	for size, want := range map[int]bool{89: false, 90: true} {
		text := strings.Repeat("x", size)
		md := NewReference(&nested{}, Comments{"nested.Left": "One side.", "room": text}).Markdown()
		if strings.Contains(md, "One side.\n\n"+text) != want {
			t.Errorf("%d bytes:\n%s", size, md)
		}
	}
}

// Each visits every value, as a pointer, before its parts.
func TestEach(t *testing.T) {
	n := nested{Down: &nested{Words: []string{"a"}}, Do: task{"foo", &foo{Name: "x"}}}
	var paths []string
	Each(&n, func(path string, p any) {
		paths = append(paths, path)
		if f, ok := p.(*foo); ok {
			f.Name = "changed"
		}
	})
	got := strings.Join(paths, " ")
	for _, want := range []string{" left left.size left.key left.light left.label right ", " down down.left ", " down.words down.words[0] down.mode ",
		" do do.foo do.foo.size do.foo.name words mode"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	paths = nil
	Each(&plan{Free: map[string]any{"a": 1}, By: map[string]*worker{"x": {Hand: &hand{}}, "y": nil}}, func(path string, _ any) { paths = append(paths, path) })
	if all := strings.Join(paths, " ") + " "; !strings.Contains(all, " by by.x by.x.hand by.x.hand.fingers ") || !strings.Contains(all, " free ") ||
		strings.Contains(all, "by.y") || strings.Contains(all, "free.a") {
		t.Errorf("%q", all)
	}
	if strings.Contains(got, "down.down") || n.Do.Settings.(*foo).Name != "changed" {
		t.Errorf("%q, %+v", got, n.Do.Settings)
	}
}

// A struct that requires exactly one key may be omitted, but not empty; each problem is reported once.
func TestOnly(t *testing.T) {
	for document, want := range map[string]string{
		"":                             "",
		"do: bar":                      "",
		"mode: on":                     "",
		"mode: ''":                     `f.yaml:1:7: mode: "" is not an allowed value; expected on or off`,
		"mode: up":                     `f.yaml:1:7: mode: "up" is not an allowed value; expected on or off`,
		"do: {}":                       "f.yaml:1:1: do: empty; expected one of foo or bar",
		"do: {fooo: {name: a}}":        "f.yaml:1:6: do.fooo: there is no such key; did you mean foo?",
		"down: {do: {}}":               "f.yaml:1:8: down.do: empty; expected one of foo or bar",
		"do: {foo: {name: a}, foo: 1}": "f.yaml:1:22: do.foo: the key is repeated: line 1 has the same key; write the key once",
	} {
		var n nested
		SetDefaults(&n)
		tr := New(&n)
		if p := tr.Document("f.yaml", []byte(document+"\n")); p != nil {
			t.Fatal(p)
		}
		tr.Check()
		got := ""
		if err := tr.Err(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", document, got, want)
		}
	}
	for document, want := range map[string]string{
		"by: {a: [x]}":                           "f.yaml:1:9: by.a: this is a list; expected a mapping with hand or tool",
		"by: {a: {hnad: {}}}":                    "f.yaml:1:10: by.a.hnad: there is no such key; did you mean hand?",
		"by: {a: {hand: {}, tool: {kind: saw}}}": "f.yaml:1:20: by.a.tool: hand is also given; expected one of the two",
		"by: {a: {hand: {fingers: x}}}":          `f.yaml:1:26: by.a.hand.fingers: "x": not a whole number; expected a whole number`,
		"by: {a: {hand: {}, tool: {kind: sew}}}": "f.yaml:1:20: by.a.tool: hand is also given; expected one of the two",
	} {
		if _, got := decoded(document + "\n"); !strings.Contains(got, want) || strings.Contains(got, "empty") {
			t.Errorf("%s: %s, want %s", document, got, want)
		}
	}
}

// A text is converted to the type of the field, or is an error; a list replaces the previous list.
func TestSetText(t *testing.T) {
	for _, text := range []string{"inf", "-inf", "+Inf", "-Infinity", "nan", "1e999", "-1e999", "", "1,5"} {
		var f float64
		if err := setText(reflect.ValueOf(&f).Elem(), text); err == nil || err.Error() != "not a number" || f != 0 {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
	for text, want := range map[string]float64{"-1.5": -1.5, "1e3": 1000, "0": 0} {
		f := 7.0
		if err := setText(reflect.ValueOf(&f).Elem(), text); err != nil || f != want {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
	words := []string{"old"}
	for text, want := range map[string][]string{"a, b": {"a", "b"}, "[c]": {"c"}, "": nil, " , ": nil, "[d,, e]": {"d", "e"}} {
		if err := setText(reflect.ValueOf(&words).Elem(), text); err != nil || !slices.Equal(words, want) {
			t.Errorf("%q: %q, %v", text, words, err)
		}
	}
	numbers := []int{1}
	if err := setText(reflect.ValueOf(&numbers).Elem(), "2, x"); err == nil {
		t.Errorf("a list with a word among its numbers: %v", numbers)
	}
	n := nested{Words: []string{"old"}}
	tr := New(&n)
	tr.Set("words", "a, b", "--words")
	tr.Set("words", "c", "--words")
	if err := tr.Err(); err != nil || !slices.Equal(n.Words, []string{"c"}) {
		t.Errorf("%q, %v", n.Words, err)
	}
}

// The depth of a document is limited; the width is not.
func TestDepth(t *testing.T) {
	for depth, want := range map[int]bool{maxDepth - 2: false, maxDepth - 1: true} {
		_, wrong := decoded("free: {a: " + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}")
		if strings.Contains(wrong, "the nesting is too deep") != want {
			t.Errorf("%d nested lists in two mappings: %s", depth, wrong)
		}
	}
	if _, wrong := decoded("free: {a: [" + strings.Repeat("[], ", 2*maxDepth) + "]}"); wrong != "" {
		t.Errorf("many adjacent lists: %s", wrong)
	}
	if _, wrong := decoded("\x01"); wrong != "f.yaml:1:1: not UTF-8 text, or a control character; expected a YAML document" {
		t.Errorf("a control character at the beginning: %s", wrong)
	}
}
