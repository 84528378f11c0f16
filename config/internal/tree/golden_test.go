package tree

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/plan.golden again, instead of comparing")

// source is Go source that contains the comments of the test configuration.
const source = `package p

const one = 1

// plan is all that there is to do.
type plan struct {
	// What it is called.
	Name string
	// What is done,
	// in this order.
	Jobs []job
	// Who does it: names of your choice.
	By map[string]*worker
	// Where.
	Room room
	Free map[string]any
}

type (
	// hand has fingers, and whatever else a hand needs to be worth more than a few words in a reference: it is explained.
	hand struct {
		// How many.
		Fingers, Size int
	}
	other int
)

// worker does something.
type worker struct {
	// Without a tool.
	Hand *hand
	// With one.
	Tool *tool
}

// tool says how it is made.
type tool struct {
	// How.
	Kind string
}

func (plan) x() {}
`

// Each format of a configuration and of its documentation matches a file in testdata.
func TestWritten(t *testing.T) {
	comments, err := ReadComments(fstest.MapFS{"a.go": {Data: []byte(source)}, "b.txt": {Data: []byte("no Go")}})
	if err != nil {
		t.Fatal(err)
	}
	full, wrong := decoded(`
name: 'a: b'
jobs:
  - {id: a, do: {foo: {name: x}}, who: [anna, {tool: {kind: saw, token: secret, label: "1"}}], rate: 0.25, label: "a\tb"}
  - {id: b, do: bar, who: [], label: "it's"}
by:
  anna: {hand: {fingers: 4}}
  drill: {tool: {kind: drill}}
room: {size: 3, key: hidden, light: false, label: http://user:password@host/}
free: {s: text, "no": 1, f: 0.5, n: null, b: true, l: [1, "1", {}], m: {a: []}, e: ""}
`)
	if wrong != "" {
		t.Fatal(wrong)
	}
	none, _ := decoded("")
	defaults, _ := decoded("")
	r := NewReference(&plan{}, comments)
	doc, _ := r.Doc("")
	key, _ := r.Doc("by.hand")
	var b strings.Builder
	for _, part := range []struct{ name, text string }{
		{"YAML", YAML(full)}, {"YAML of nothing", YAML(none)}, {"example", Example(defaults, comments)}, {"Markdown", r.Markdown()},
		{"text", doc}, {"one key", key},
	} {
		b.WriteString("======== " + part.name + "\n" + part.text)
	}
	name := filepath.Join("testdata", "plan.golden")
	if *rewrite {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs; run with -rewrite and review the diff\n%s", name, b.String())
	}
	again, wrong := decoded(strings.ReplaceAll(YAML(full), "'***'", "another"))
	var changed []string
	for _, c := range Diff(full, again) {
		changed = append(changed, c.Path)
	}
	if got := strings.Join(changed, " "); wrong != "" || got != "jobs[a].who room.key room.label" { // secrets are not printed
		t.Errorf("the written configuration is read back differently: %s, %s", wrong, got)
	}
}

// Invalid Go source is an error.
func TestReadCommentsOfInvalidGo(t *testing.T) {
	if c, err := ReadComments(fstest.MapFS{"a.go": {Data: []byte("no Go")}}); err == nil || c != nil {
		t.Errorf("%v, %v", c, err)
	}
}
