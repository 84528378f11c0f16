package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/handfast/handfast/internal/redact"
)

// localPath is a Local.
type localPath string

func (localPath) Describe() (label, want string)        { return "file", "a path" }
func (p *localPath) UnmarshalText(text []byte) error    { *p = localPath(text); return nil }
func (p localPath) MarshalText() (text []byte, _ error) { return []byte(p), nil }
func (p *localPath) In(dir string)                      { *p = localPath(In(dir, string(*p))) }

// broken cannot be marshaled.
type broken string

func (broken) Describe() (label, want string)     { return "text", "text" }
func (b *broken) UnmarshalText(text []byte) error { *b = broken(text); return nil }
func (broken) MarshalText() ([]byte, error)       { return nil, errors.New("broken") }

// files has fields of the types place and broken, and fields with the tags that are tested here.
type files struct {
	At    localPath   `yaml:"at"`
	Made  localPath   `yaml:"made" made:"true"`
	More  []localPath `yaml:"more"`
	Days  []string    `yaml:"days" enum:"mon|tue"`
	Words []string    `yaml:"words" default:"[a, b]"`
	Other []string    `yaml:"other" example:"[x, y]"`
	Bad   broken      `yaml:"bad"`
	None  *bar        `yaml:"none"`
	Do    task        `yaml:"do"`
	Items []job       `yaml:"items"`
}

// written decodes a document in a directory, and checks it.
func written(t *testing.T, dir, document string) (*files, string) {
	t.Helper()
	f := &files{}
	SetDefaults(f)
	tr := New(f)
	if p := tr.Document(filepath.Join(dir, "f.yaml"), []byte(document)); p != nil {
		t.Fatal(p)
	}
	tr.Check()
	if err := tr.Err(); err != nil {
		return f, strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
	}
	return f, ""
}

// A path is relative to the directory of the file that contains it, and must name an existing file unless the file will be created.
func TestLocal(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dir, err := os.Getwd() // the form without symbolic links
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for document, want := range map[string]string{
		"at: f":             "",
		"at: " + dir + "/f": "",
		"at: ''":            "",
		"made: none":        "",
		"more: [f, f]":      "",
		"at: none":          `at: "none" cannot be read: no such file or directory; expected a file`,
		"at: .":             fmt.Sprintf("at: %q is a directory; expected a file", dir),
		"more: [f, none]":   `more[1]: "none" cannot be read: no such file or directory; expected a file`,
	} {
		f, wrong := written(t, dir, document)
		if !strings.HasSuffix(wrong, want) || wrong != "" && want == "" {
			t.Errorf("%s: %s\nwant %s", document, wrong, want)
		}
		if strings.HasPrefix(document, "at: ") && strings.HasSuffix(document, "f") && string(f.At) != filepath.Join(dir, "f") {
			t.Errorf("%s: %s", document, f.At)
		}
	}
	f := &files{}
	tr := New(f)
	tr.Set("more", "f, "+dir+"/g", "--more")
	if len(f.More) != 2 || string(f.More[0]) != filepath.Join(dir, "f") || string(f.More[1]) != dir+"/g" || tr.Err() != nil {
		t.Errorf("%q, %v", f.More, tr.Err())
	}
}

// Without a working directory, paths do not change.
func TestLocalWithoutDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if got := absolute("x"); filepath.Base(got) != "x" {
		t.Error(got)
	}
}

// Each word in a list must be one of the allowed values.
func TestEnumList(t *testing.T) {
	for document, want := range map[string]string{
		"days: [mon, tue]": "", "days: []": "", "days: [tue]": "",
		"days: [mon, fri]": `f.yaml:1:13: days[1]: "fri" is not an allowed value; expected mon or tue`,
		"days: [mun]":      `f.yaml:1:8: days[0]: "mun" is not an allowed value; did you mean mon?; expected mon or tue`,
		"days: ['']":       `f.yaml:1:8: days[0]: "" is not an allowed value; expected mon or tue`,
	} {
		if _, wrong := written(t, t.TempDir(), document); wrong != want {
			t.Errorf("%s: %s\nwant %s", document, wrong, want)
		}
	}
	if md := NewReference(&files{}, nil).Markdown(); !strings.Contains(md, "- **`days`** (list of `mon`, `tue`)") {
		t.Error(md)
	}
}

// An empty list differs from a missing one, and a chosen kind hides the others.
func TestWrittenLists(t *testing.T) {
	f, wrong := written(t, t.TempDir(), "words: []\nitems: []\ndo: {foo: {name: x}}\nbad: secret\n")
	if wrong != "" {
		t.Fatal(wrong)
	}
	text := YAML(f)
	for _, want := range []string{"words: []\n", "\nitems: []\n", "\nbad: '" + redact.Mark + "'\n", "\ndo:\n  foo:\n    size: 3\n    name: x\n"} {
		if !strings.Contains("\n"+text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	text = Example(f, Comments{})
	for _, want := range []string{"\nwords: []\n", "\n#other: [x, y]\n", "\n#none: {}\n\n# \ndo:\n", "\ndo:\n  # \n  foo:\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "bar") {
		t.Errorf("a kind that is not chosen:\n%s", text)
	}
}

func TestChangeString(t *testing.T) {
	for want, c := range map[string]Change{
		"a: 1 → 2": {"a", "1", "2"}, "a: 2 is new": {"a", "", "2"}, "a: 1 is gone": {"a", "1", ""},
	} {
		if got := c.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Items with the same name have different paths.
func TestDiffSameNames(t *testing.T) {
	before, _ := decoded("jobs: [{id: a, do: bar}, {id: a, do: bar}, {id: a, do: bar}]\n")
	after, _ := decoded("jobs: [{id: a, do: bar}, {id: a, do: bar, label: x}, {id: a, do: bar, label: y}]\n")
	if got := Diff(before, after); !sameChanges(got, []Change{{"jobs[a]'.label", "''", "x"}, {"jobs[a]''.label", "''", "y"}}) {
		t.Errorf("changes %v", got)
	}
}

// All problems are combined in one error, in which a very long path is truncated.
func TestProblems(t *testing.T) {
	tr := New(&plan{})
	tr.Wrong("name", "one", "")
	tr.Wrong("name", "again", "")
	for size := 200; size <= 201; size++ {
		tr.Wrong(strings.Repeat("x", size), "long", "")
	}
	if !tr.Failed("name") || tr.Failed("jobs") {
		t.Error("Failed returns a wrong result")
	}
	all, ok := errors.AsType[*Error](tr.Err())
	if !ok || len(all.Problems) != 3 || all.Problems[1].Path != strings.Repeat("x", 200) || all.Problems[2].Path != strings.Repeat("x", 200)+"…" {
		t.Errorf("%v", tr.Err())
	}
	for _, p := range all.Problems {
		if !errors.Is(all, p) {
			t.Errorf("%v is not in the error", p)
		}
	}
	if got := Expected[room](); !strings.HasPrefix(got, "a mapping with size, key, key_file") {
		t.Error(got)
	}
}

// A pipe without data is an error, because the data may have been read before.
func TestReadEmptyPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.Close()
	name := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(name); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(name, 10, time.Minute); err == nil || !strings.Contains(err.Error(), "the pipe is empty") {
		t.Error(err)
	}
}

// A directory without readable comments is an error.
func TestReadCommentsOfDirectory(t *testing.T) {
	if c, err := ReadComments(fstest.MapFS{"a.go/b": {}}); err == nil || c != nil {
		t.Errorf("%v, %v", c, err)
	}
}

// Set allocates what is missing on the way to a path, and reads the file of a secret.
func TestSetMakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _ := decoded("by: {a: {}}\n")
	tr := New(p)
	for _, set := range [][2]string{{"by.a.hand.size", "4"}, {"room.key_file", file}} {
		tr.Set(set[0], set[1], "--set")
	}
	if err := tr.Err(); err != nil || p.By["a"].Hand == nil || p.By["a"].Hand.Size != 4 || p.By["a"].Hand.Fingers != 5 || p.By["a"].Tool != nil || p.Room.Key != "secret" {
		t.Errorf("%+v, %v", p, err)
	}
	for path, hint := range map[string]string{"room.size_file": "", "room.ligth": "; did you mean room.light?"} {
		tr := New(p)
		tr.Set(path, "x", "--set")
		if err := tr.Err(); err == nil || err.Error() != "--set: "+path+": there is no such key"+hint {
			t.Errorf("%s: %v", path, err)
		}
	}
	// Empty YAML resets the value.
	tr = New(p)
	tr.Set("room", "{size: 5, label: x}", "--room")
	tr.Set("room", "# nothing", "--room")
	if tr.Err() != nil || p.Room.Size != 1 || p.Room.Label != "" || !p.Room.Light {
		t.Errorf("%+v, %v", p.Room, tr.Err())
	}
	if _, wrong := decoded("room: {key_file: !!str x}\n"); wrong != "f.yaml:1:18: room.key_file: tags are not supported here" {
		t.Error(wrong)
	}
	tr = New(p)
	tr.Environ("P_", []string{"P_ROOM_KEY=another", "P_ROOM_KEY_FILE=" + file, "P_ROOM_SIZ=3"}, func(string) bool { return false })
	want := "environment variable P_ROOM_KEY_FILE: room.key_file: P_ROOM_KEY is also given; expected one of the two\n" +
		"environment variable P_ROOM_SIZ: there is no such setting; did you mean P_ROOM_SIZE?"
	if err := tr.Err(); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
