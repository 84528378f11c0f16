package rfctable

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// count contains the number of occurrences of MUST, MUST NOT, REQUIRED, SHALL or SHALL NOT in each section of RFC 6455. It
// was determined by a search of the whole RFC, including the definitions in section 2 and the comments in the grammars.
var count = map[string]int{
	"2": 6, "3": 2,
	"4.1": 39, "4.2.1": 1, "4.2.2": 10, "4.3": 1, "4.4": 1,
	"5.1": 4, "5.2": 10, "5.3": 4, "5.4": 10, "5.5": 2, "5.5.1": 6, "5.5.2": 1, "5.6": 1, "5.8": 1,
	"6.1": 8, "6.2": 5,
	"7.1.2": 1, "7.1.7": 3, "7.2.1": 2, "7.2.2": 1, "7.4.1": 3,
	"8.1": 1, "9": 2, "9.1": 5,
	"10.3": 1, "10.4": 1, "10.6": 1, "10.7": 1,
	"11.1.1": 2, "11.1.2": 2, "11.3.1": 1, "11.3.2": 1, "11.3.3": 1, "11.3.4": 1, "11.3.5": 1,
}

// total is the sum of count, from a separate search.
const total = 143

// rows reads docs/rfc6455.txt.
func rows(t *testing.T) []Row {
	t.Helper()
	f, err := os.Open(filepath.Join(root, Source))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := Parse(f)
	if err != nil {
		t.Fatalf("%s: %v", Source, err)
	}
	return rows
}

func TestEveryMustHasARow(t *testing.T) {
	got, sum, seen := map[string]int{}, 0, map[string]bool{}
	for _, r := range rows(t) {
		if seen[r.ID] {
			t.Errorf("%s occurs twice", r.ID)
		}
		seen[r.ID] = true
		if r.Word != "step" {
			got[r.Section()]++
			sum++
		}
	}
	for section, n := range count {
		if got[section] != n {
			t.Errorf("section %s has %d rows, and the RFC has %d occurrences of MUST in it", section, got[section], n)
		}
	}
	for section := range got {
		if count[section] == 0 {
			t.Errorf("section %s has rows, and the RFC has no MUST in it", section)
		}
	}
	if sum != total {
		t.Errorf("%d rows, want %d", sum, total)
	}
}

func TestEveryMustIsFulfilled(t *testing.T) {
	for _, wrong := range Check(root, rows(t)) {
		t.Error(wrong)
	}
}

// core lists the packages that contain the rules of the opening handshake and of frames, without I/O.
var core = []string{"websocket/handshake", "websocket/protocol", "websocket/frame"}

// needIO lists the requirements of §4 and §5 that need I/O, with the reason. Package websocket fulfills these requirements.
var needIO = map[string]string{
	"4.1-1":   "a connection is opened",
	"4.1-9":   "a connection that cannot be opened",
	"4.1-10":  "TLS on a connection",
	"4.1-11":  "TLS that fails",
	"4.1-12":  "everything is written through TLS",
	"4.1-13":  "a field of the TLS handshake",
	"4.1-14":  "the request is written to the connection",
	"4.1-25":  "16 random bytes; their form is the core's",
	"4.1-26":  "random bytes",
	"4.1-32":  "the order of a write and a read",
	"4.2.2-2": "everything is written through TLS",
	"5.3-2":   "random bytes for each frame",
	"5.3-3":   "the source of random bytes",
	"5.3-4":   "the source of random bytes",
	"5.5.1-5": "a socket is closed",
	"5.5.1-6": "a socket is closed, without a wait",
}

// Only the core implements the rules of §4 and §5, except for rules that need I/O or randomness.
func TestHandshakeAndFrameRulesAreInTheCore(t *testing.T) {
	used := map[string]bool{}
	for _, r := range rows(t) {
		if s := r.Section(); !strings.HasPrefix(s, "4") && !strings.HasPrefix(s, "5") {
			continue
		}
		id := strings.TrimPrefix(r.ID, "6455-")
		for _, s := range r.Code {
			if slices.Contains(core, s.Dir) {
				continue
			}
			used[id] = true
			if needIO[id] == "" || s.Dir != "websocket" {
				t.Errorf("%s is fulfilled by %s in %s, not by the core", r.ID, s.Name, s.Dir)
			}
		}
	}
	for id := range needIO {
		if !used[id] {
			t.Errorf("%s is fulfilled by the core and needs no exception", id)
		}
	}
}

func TestDocumentIsCurrent(t *testing.T) {
	want := Render(rows(t))
	got, err := os.ReadFile(filepath.Join(root, Target))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run make docs", Target)
	}
}

func TestParse(t *testing.T) {
	const text = `# a comment
6455-5.1-1 MUST client
  > a client MUST mask
  > all frames
  note how
  code a/b F T.M
  test a/b TestF

6455-5.4-7 MUST NOT proxies
  > they MUST NOT
  why this is not a proxy
`
	got, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d rows, want 2", len(got))
	}
	a, b := got[0], got[1]
	if a.Section() != "5.1" || a.Word != "MUST" || a.Who != "client" || a.Quote != "a client MUST mask all frames" ||
		a.Note != "how" || !a.Held() || a.Line != 2 {
		t.Errorf("the first row is %+v", a)
	}
	if want := []Symbol{{"a/b", "F"}, {"a/b", "T.M"}}; !slices.Equal(a.Code, want) {
		t.Errorf("code is %v, want %v", a.Code, want)
	}
	if want := []Symbol{{"a/b", "TestF"}}; !slices.Equal(a.Tests, want) {
		t.Errorf("tests are %v, want %v", a.Tests, want)
	}
	if b.Word != "MUST NOT" || b.Held() {
		t.Errorf("the second row is %+v", b)
	}
	for _, bad := range []string{"  > early\n", "6455-1 MUST x\n", "6455-5.1-1 MUST x\n  nope y\n", "6455-5.1-1 MUST x\n  code a\n"} {
		if _, err := Parse(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// The check finds every kind of error.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.go", "package a\n\n// F holds RFC 6455 §5.1.\nfunc F() {}\n")
	write("b.go", "package a\n\ntype T int\n\nfunc (t *T) M() {}\n")
	if err := os.MkdirAll(filepath.Join(dir, Transcripts), 0o700); err != nil {
		t.Fatal(err)
	}
	write(Transcripts+"/5.1.txt", "clause RFC 6455 §5.1\n\ncase masked\nrole server\n")
	if err := os.MkdirAll(filepath.Join(dir, "testdata"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("testdata/cases.json", `[{"name": "from-a-file"}]`)
	write("a_test.go", "package a\n\nfunc TestF(t *T) { _ = \"one\" }\n")
	row := func(code, test string) Row {
		r := Row{ID: "6455-5.1-1", Word: "MUST", Quote: "a client MUST"}
		if code != "" {
			r.Code = []Symbol{{".", code}}
		}
		if test != "" {
			r.Tests = []Symbol{{".", test}}
		}
		return r
	}
	for _, c := range []struct {
		name string
		row  Row
		want string // part of the only error; empty if there is none
	}{
		{"good", row("F", "TestF"), ""},
		{"case", row("F", "TestF/one"), ""},
		{"case in testdata", row("F", "TestF/from-a-file"), ""},
		{"no code", row("", "TestF"), "no code"},
		{"no test", row("F", ""), "no test"},
		{"unknown code", row("G", "TestF"), "not declared"},
		{"code is a test", row("TestF", "TestF"), "is a test"},
		{"unknown test", row("F", "TestG"), "no test TestG"},
		{"unknown case", row("F", "TestF/two"), "no case"},
		{"section not quoted", row("T.M", "TestF"), "quotes"},
		{"one of two quotes", Row{ID: "6455-5.1-1", Word: "MUST", Quote: "MUST",
			Code: []Symbol{{".", "T.M"}, {".", "F"}}, Tests: []Symbol{{".", "TestF"}}}, ""},
		{"another section quoted", Row{ID: "6455-6.1-7", As: "5.1", Word: "MUST", Quote: "MUST",
			Code: []Symbol{{".", "F"}}, Tests: []Symbol{{".", "TestF"}}}, ""},
		{"transcript", Row{ID: "6455-5.1-1", Word: "MUST", Quote: "MUST", Code: []Symbol{{".", "F"}},
			Cases: []Symbol{{"5.1.txt", "masked"}}}, ""},
		{"unknown transcript case", Row{ID: "6455-5.1-1", Word: "MUST", Quote: "MUST", Code: []Symbol{{".", "F"}},
			Cases: []Symbol{{"5.1.txt", "mask"}}}, "has no case"},
		{"unknown transcript", Row{ID: "6455-5.1-1", Word: "MUST", Quote: "MUST", Code: []Symbol{{".", "F"}},
			Cases: []Symbol{{"5.2.txt", "mask"}}}, "no transcript"},
		{"not applicable", Row{ID: "6455-5.4-1", Word: "MUST", Quote: "MUST", Why: "no proxy"}, ""},
		{"not kept", Row{ID: "6455-4.1-5", Word: "MUST", Quote: "MUST", Not: "it is the caller's"}, ""},
		{"both", Row{ID: "6455-5.4-1", Word: "MUST", Quote: "MUST", Why: "no proxy", Code: []Symbol{{".", "F"}}}, "both"},
		{"other word", Row{ID: "6455-5.4-1", Word: "MUST NOT", Quote: "MUST", Why: "no proxy"}, "the word"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Check(dir, []Row{c.row})
			if c.want == "" && len(got) != 0 {
				t.Errorf("complaints: %q", got)
			}
			if c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
				t.Errorf("complaints: %q, want one with %q", got, c.want)
			}
		})
	}
}

func TestMentions(t *testing.T) {
	for _, c := range []struct {
		text, section string
		want          bool
	}{
		{"// RFC 6455 §5.1: a client", "5.1", true},
		{"// (RFC 6455 §5.1)", "5.1", true},
		{"// as RFC 6455 §5.1.", "5.1", true},
		{"// RFC 6455 §5.1", "5.1", true},
		{"// RFC 6455 §5.10", "5.1", false},
		{"// RFC 6455 §5.1.2", "5.1", false},
		{"// RFC 6455 §15.1", "5.1", false},
		{"// RFC 6455 §§5.1, 5.3 and 5.4", "5.3", true},
		{"// version 5.1", "5.1", false},
	} {
		if got := mentions(c.text, c.section); got != c.want {
			t.Errorf("mentions(%q, %q) = %v", c.text, c.section, got)
		}
	}
}
