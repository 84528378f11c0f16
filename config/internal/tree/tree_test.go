package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// plan is a configuration for the tests.
type plan struct {
	Name string             `yaml:"name" example:"x"`
	Jobs []job              `yaml:"jobs"`
	By   map[string]*worker `yaml:"by"`
	Room room               `yaml:"room"`
	Free map[string]any     `yaml:"free"`
}

type job struct {
	ID    string  `yaml:"id" id:"true" required:"true" example:"first"`
	Do    task    `yaml:"do" required:"true" example:"foo"`
	Who   []owner `yaml:"who"`
	Rate  float64 `yaml:"rate" default:"0.5" min:"0" max:"1"`
	Label string  `yaml:"label"`
}

// worker is a struct that requires exactly one of its keys.
type worker struct {
	Hand *hand `yaml:"hand" only:"one" example:"anna"`
	Tool *tool `yaml:"tool" example:"drill"`
}

type hand struct {
	Fingers int    `yaml:"fingers" default:"5" min:"1"`
	Size    int    `yaml:"size"`
	Label   string `yaml:"label"`
}

type tool struct {
	Kind  string  `yaml:"kind" required:"true" enum:"saw|drill" example:"saw"`
	Token *secret `yaml:"token"`
	Label string  `yaml:"label"`
}

type room struct {
	Size  int    `yaml:"size" short:"true" default:"1"`
	Key   secret `yaml:"key"`
	Light bool   `yaml:"light" default:"true"`
	Label string `yaml:"label"`
}

// task is a Choice. To add a kind, define a type and append it to kinds, possibly in a separate file.
type task struct {
	Kind     string
	Settings any
}

var kinds []Kind

func (task) Kinds() []Kind { return kinds }

// owner is a Union: a name, or an inline worker.
type owner struct {
	Name   string
	Worker *worker
}

func (owner) Describe() (label, want string) { return "worker", "a name, or a worker" }
func (w owner) Word() (string, bool)         { return w.Name, w.Worker == nil }
func (w *owner) SetWord(s string) bool       { *w = owner{Name: s}; return s != "nobody" }
func (w *owner) Parts() any                  { return &w.Worker }

type secret string

func (secret) Describe() (label, want string) { return "secret", "a secret" }
func (secret) Hidden()                        {}
func (s secret) Reveal() string               { return string(s) }
func (s *secret) UnmarshalText(text []byte) error {
	if *s = secret(text); len(*s) < 3 {
		return fmt.Errorf("it has %d bytes", len(*s))
	}
	return nil
}
func (s secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// foo is a kind of task. The type and its init function are all that a kind needs.
type foo struct {
	Size int    `yaml:"size" default:"3" max:"9"`
	Name string `yaml:"name" required:"true" example:"f"`
}

func init() { kinds = append(kinds, Kind{"foo", reflect.TypeFor[foo]()}) }

// bar has no keys.
type bar struct{}

func init() { kinds = append(kinds, Kind{"bar", reflect.TypeFor[bar]()}) }

// decoded decodes and checks a document, and returns the result and its problems.
func decoded(document string) (*plan, string) {
	p := &plan{}
	SetDefaults(p)
	t := New(p)
	if err := t.Document("f.yaml", []byte(document)); err != nil {
		return p, err.Error()
	}
	t.Check()
	if err := t.Err(); err != nil {
		return p, err.Error()
	}
	return p, ""
}

// A registered kind is decoded, checked, compared, written and documented like any other key.
func TestChoice(t *testing.T) {
	for _, tt := range []struct{ do, kind, problem string }{
		{"bar", "bar", ""},
		{"{bar: {}}", "bar", ""},
		{"{foo: {name: a, size: 4}}", "foo", ""},
		{"foo", "foo", "f.yaml:1:20: jobs[0].do.foo.name: required; expected text"},
		{"{foo: {name: a, size: 10}}", "foo", "f.yaml:1:42: jobs[0].do.foo.size: 10 is more than 9; expected 9 or less"},
		{"{foo: {nme: a}}", "foo", "f.yaml:1:27: jobs[0].do.foo.nme: there is no such key; did you mean name?"},
		{"fou", "", `f.yaml:1:20: jobs[0].do: "fou" is not an allowed kind; did you mean foo?; expected foo or bar`},
		{"hunter2", "", "f.yaml:1:20: jobs[0].do: not an allowed kind; expected foo or bar"},
		{"{foo: {name: a}, bar: {}}", "foo", "f.yaml:1:37: jobs[0].do.bar: foo is also given; expected one of the two"},
		{"{}", "", "f.yaml:1:16: jobs[0].do: required; expected a mapping with foo or bar"},
		{"[]", "", "f.yaml:1:20: jobs[0].do: this is a list; expected a mapping with foo or bar"},
	} {
		p, wrong := decoded("jobs: [{id: a, do: " + tt.do + "}]\n")
		if wrong != tt.problem || p.Jobs[0].Do.Kind != tt.kind {
			t.Errorf("%s: %+v, %s\nwant %s", tt.do, p.Jobs, wrong, tt.problem)
		}
	}
	before, _ := decoded("jobs: [{id: a, do: {foo: {name: a}}}, {id: b, do: bar}]\n")
	after, _ := decoded("jobs: [{id: b, do: {foo: {name: b}}}, {id: a, do: {foo: {name: a, size: 4}}}]\n")
	want := []Change{{"jobs[b].do.bar", "{}", ""}, {"jobs[b].do.foo", "", "{name: b}"}, {"jobs[a].do.foo.size", "3", "4"}}
	if got := Diff(before, after); !sameChanges(got, want) {
		t.Errorf("changes %v", got)
	}
	// Items without a name are identified by their index.
	before, _ = decoded("jobs: [{do: bar}, {do: bar}]\n")
	after, _ = decoded("jobs: [{do: bar}, {do: bar, label: x}]\n")
	if got := Diff(before, after); !sameChanges(got, []Change{{"jobs[1].label", "''", "x"}}) {
		t.Errorf("changes %v", got)
	}
	after, _ = decoded("jobs: [{id: b, do: {foo: {name: b}}}, {id: a, do: {foo: {name: a, size: 4}}}]\n")
	if got, want := YAML(after), "name: ''\njobs:\n  - id: b\n    do:\n      foo:\n        size: 3\n        name: b\n"; !strings.Contains(got, want[9:]) {
		t.Errorf("YAML\n%s", got)
	}
	keys := NewReference(&plan{}, nil).Keys()
	for _, key := range []string{"jobs[].do.foo.size", "jobs[].do.bar", "by.*.tool.token"} {
		if !slices.Contains(keys, key) {
			t.Errorf("no %s in %q", key, keys)
		}
	}
}

// sameChanges compares changes in any order.
func sameChanges(a, b []Change) bool {
	byPath := func(x, y Change) int { return strings.Compare(x.Path, y.Path) }
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, byPath)
	slices.SortFunc(b, byPath)
	return slices.Equal(a, b)
}

// "<<" adds keys and removes none: the keys of the mapping itself take precedence, followed by the keys of the first merged mapping.
func TestMergeKeys(t *testing.T) {
	const anchors = "a: &a {p: a, q: a, r: a}\nb: &b {q: b, s: b}\n"
	for document, want := range map[string]string{
		"x: {<<: *a}":                          "map[p:a q:a r:a]",
		"x: {<<: *a, q: own, t: own}":          "map[p:a q:own r:a t:own]",
		"x: {q: own, t: own, <<: *a}":          "map[p:a q:own r:a t:own]",
		"x: {<<: [*a, *b], t: own}":            "map[p:a q:a r:a s:b t:own]",
		"x: {<<: [*b, *a]}":                    "map[p:a q:b r:a s:b]",
		"x: {<<: {u: in, q: in}, <<: *b}":      "map[q:in s:b u:in]",
		"x:\n  <<: *a\n  s: {<<: *b, q: deep}": "map[p:a q:a r:a s:map[q:deep s:b]]",
		"x: {<<: []}":                          "map[]",
	} {
		p, wrong := decoded("free:\n  " + strings.ReplaceAll(anchors+document, "\n", "\n  ") + "\n")
		if got := fmt.Sprint(p.Free["x"]); wrong != "" || got != want {
			t.Errorf("%s: %s %s, want %s", document, got, wrong, want)
		}
		if got := fmt.Sprint(p.Free["a"], p.Free["b"]); got != "map[p:a q:a r:a] map[q:b s:b]" {
			t.Errorf("%s: the anchors are %s", document, got)
		}
	}
	for document, want := range map[string]string{
		"free: {<<: 5}":  "f.yaml:1:12: free: << needs a mapping",
		"free: {<<: *x}": "f.yaml:1:12: free: there is no anchor &x before this",
	} {
		if _, wrong := decoded(document); wrong != want {
			t.Errorf("%s: %s", document, wrong)
		}
	}
	p, wrong := decoded("by:\n  a: {tool: &t {kind: saw, token: abc}}\n  b: {tool: {<<: *t, kind: drill}}\n  c: {tool: *t}\n")
	if wrong != "" || p.By["b"].Tool.Kind != "drill" || *p.By["b"].Tool.Token != "abc" || p.By["c"].Tool.Kind != "saw" {
		t.Errorf("%+v, %s", p.By, wrong)
	}
}

// A few lines can expand to more values than fit into memory, or to an infinite document.
func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("free:\n  a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n")
	for c := 'b'; c < 'i'; c++ {
		fmt.Fprintf(&b, "  %c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 10))
	}
	if _, wrong := decoded(b.String()); strings.Count(wrong, "\n") > 0 || !strings.Contains(wrong, "there are too many values") {
		t.Errorf("%.200s", wrong)
	}
	if _, wrong := decoded("free: &x {a: *x}"); !strings.Contains(wrong, "there is no anchor &x before this") {
		t.Error(wrong)
	}
	for depth, want := range map[int]bool{maxDepth - 3: false, maxDepth: true} {
		_, wrong := decoded("free: {a: " + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}")
		if strings.Contains(wrong, "the nesting is too deep") != want {
			t.Errorf("%d: %s", depth, wrong)
		}
	}
}

func TestSet(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte(" from a file \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ environ, want, problem string }{
		{"P_ROOM_KEY_FILE=" + empty, "", "environment variable P_ROOM_KEY_FILE: room.key_file: " + empty + " is empty"},
		{"P_ROOM_SIZE=4", "{4  true }", ""},
		{"P_ROOM=4", "{4  true }", ""},
		{"P_ROOM={light: false}", "{1  false }", ""},
		{"P_ROOM_KEY=a b", "{1 a b true }", ""},
		{"P_ROOM_KEY_FILE=" + file, "{1 from a file true }", ""},
		{"P_ROOM_SIZE=", "{1  true }", ""},
		{"P_LEFT_ALONE=5", "{1  true }", ""},
		{"OTHER_ROOM_SIZE=4", "{1  true }", ""},
		{"P_ROOM_KEY=no", "", "environment variable P_ROOM_KEY: room.key: it has 2 bytes; expected a secret"},
		{"P_ROOM_KEY_FILE=" + dir, "", "environment variable P_ROOM_KEY_FILE: room.key_file: " + dir + " cannot be read: is a directory"},
		{"P_ROOM_SIZE_FILE=" + file, "", "environment variable P_ROOM_SIZE_FILE: there is no such setting; the variables are"},
		{"P_JOBS_0_ID=x", "", "environment variable P_JOBS_0_ID: there is no such setting; P_JOBS takes the whole list as YAML"},
		{"P_ROOM=[", "", "environment variable P_ROOM: room: not valid YAML"},
		{"P_ROOM_LIGHT=yea", "", `environment variable P_ROOM_LIGHT: room.light: "yea": neither true nor false; expected true or false`},
		{"P_ZZZZZZZZZ=yes", "", "there is no such setting; the variables are the keys"},
	} {
		p := &plan{}
		SetDefaults(p)
		tr := New(p)
		tr.Environ("P_", []string{tt.environ}, func(name string) bool { return name == "P_LEFT_ALONE" })
		err := tr.Err()
		if tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v\nwant %s", tt.environ, err, tt.problem)
		}
		if got := strings.ReplaceAll(fmt.Sprintf("%v", p.Room), "***", ""); tt.problem == "" && (err != nil || got != tt.want) {
			t.Errorf("%s: %s, %v, want %s", tt.environ, got, err, tt.want)
		}
	}
}

// The path of a setting may lead into existing lists, and through nil pointers.
func TestSetPaths(t *testing.T) {
	p, _ := decoded("jobs: [{id: a, do: bar, who: [x]}, {id: b, do: bar}]\nby: {a: {hand: {}}}\n")
	tr := New(p)
	for _, set := range []struct{ path, text string }{
		{"jobs[1].rate", "0.25"}, {"jobs[1].who", "x, y"}, {"jobs[0].who[0]", "{hand: {}}"}, {"by.a.tool", "{kind: saw}"}, {"by.a.hand.fingers", "4"},
		{"name", "n # n"}, {"jobs[1].id", "c"},
	} {
		tr.Set(set.path, set.text, "--set")
	}
	if err := tr.Err(); err != nil || p.Jobs[1].Rate != 0.25 || len(p.Jobs[1].Who) != 2 || p.Jobs[1].Who[1].Name != "y" || p.Jobs[1].ID != "c" ||
		p.Jobs[0].Who[0].Worker.Hand.Fingers != 5 || p.By["a"].Tool.Kind != "saw" || p.By["a"].Hand.Fingers != 4 || p.Name != "n # n" {
		t.Errorf("%+v, %v", p, err)
	}
	if at := tr.Pos("jobs[1].rate").String(); at != "--set" {
		t.Errorf("position %s", at)
	}
	for _, path := range []string{"jobs[2].id", "jobs[1", "jobs.id", "nam", "name.x", "by.b.hand", "jobs[1]x"} {
		tr := New(p)
		tr.Set(path, "x", "--set")
		if err := tr.Err(); err == nil || !strings.Contains(err.Error(), "there is no such key") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A union accepts one of its words, or its parts, and nothing else.
func TestUnion(t *testing.T) {
	for _, tt := range []struct{ who, problem string }{
		{"[x, {hand: {fingers: 3}}]", ""},
		{"[nobody]", "f.yaml:1:31: jobs[0].who[0]: this is one value; expected a name, or a worker"},
		{"[~]", "f.yaml:1:31: jobs[0].who[0]: empty value; expected a name, or a worker"},
		{"[[x]]", "f.yaml:1:31: jobs[0].who[0]: this is a list; expected a mapping with hand or tool"},
		{"[{hand: {fingers: 0}}]", "f.yaml:1:48: jobs[0].who[0].hand.fingers: 0 is less than 1; expected 1 or more"},
		{"[{hand: {}, tool: {kind: saw}}]", "f.yaml:1:42: jobs[0].who[0].tool: hand is also given; expected one of the two"},
		{"x", "f.yaml:1:30: jobs[0].who: this is one value; expected a list, [] for none"},
	} {
		if _, wrong := decoded("jobs: [{id: a, do: bar, who: " + tt.who + "}]\n"); wrong != tt.problem {
			t.Errorf("%s: %s\nwant %s", tt.who, wrong, tt.problem)
		}
	}
}

// A pipe is read to the end, and the wait for data is limited.
func TestReadFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	name := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(name); err == nil {
		if _, err := readFile(name, 10, time.Millisecond); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("a pipe without data: %v", err)
		}
	}
	file := filepath.Join(t.TempDir(), "f")
	for size, want := range map[int]bool{0: true, 9: true, 10: true, 11: false} {
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		content, err := readFile(file, 10, time.Second)
		if (err == nil) != want || want && len(content) != size {
			t.Errorf("%d bytes: %d, %v", size, len(content), err)
		}
	}
}
