package tree

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A position inside a text is exact if the document contains the text unchanged. Otherwise it is the beginning of the value.
func TestProblemIn(t *testing.T) {
	for _, tt := range []struct {
		document     string
		line, column int
		want         string
	}{
		{"name: abc\n", 1, 3, "f.yaml:1:9"},
		{"name: 'abc'\n", 1, 3, "f.yaml:1:10"},
		{`name: "abc"` + "\n", 1, 1, "f.yaml:1:8"},
		{"name: abc\n", 2, 3, "f.yaml:1:7"},
		{"name: abc\n", 0, 3, "f.yaml:1:7"},
		{"name: |\n   abc\n   def\n", 1, 1, "f.yaml:2:4"},
		{"name: |\n   abc\n   def\n", 2, 3, "f.yaml:3:6"},
		{"name: |\n   abc\n   def\n", 0, 3, "f.yaml:1:7"},
		{"name: >\n   abc\n   def\n", 1, 3, "f.yaml:1:7"},
		{"room: {label: abc}\n", 1, 2, "f.yaml:1:1"}, // the name is not given
	} {
		tr := New(&plan{})
		if p := tr.Document("f.yaml", []byte(tt.document)); p != nil || tr.Err() != nil {
			t.Fatalf("%q: %v, %v", tt.document, p, tr.Err())
		}
		p := tr.ProblemIn("name", tt.line, tt.column, "wrong", "right")
		if p.Pos.String() != tt.want || p.Path != "name" || p.Text != "wrong" || p.Want != "right" {
			t.Errorf("%q, %d:%d: %+v, want %s", tt.document, tt.line, tt.column, p, tt.want)
		}
	}
	tr := New(&plan{})
	if p := tr.Document("f.yaml", []byte("name: abc\njobs: [{id: a, who: [anna]}]\n")); p != nil {
		t.Fatal(p)
	}
	if p := tr.ProblemIn("jobs[0].who[0]", 1, 3, "wrong", ""); p.Pos.String() != "f.yaml:2:24" {
		t.Errorf("in the word of a union: %v", p)
	}
	tr.Set("room", "{label: abc}", "--room")
	if p := tr.ProblemIn("room.label", 1, 3, "wrong", ""); p.Pos != (Pos{File: "--room"}) {
		t.Errorf("in YAML of a flag: %+v", p.Pos)
	}
	tr.Set("name", "xyz", "--name")
	if p := tr.ProblemIn("name", 1, 3, "wrong", ""); p.Pos.String() != "--name" {
		t.Errorf("in a flag: %v", p)
	}
}

// The content of a file is identified by its sum, under an absolute path.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("f.yaml", []byte("room: {key_file: key}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("key", []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &plan{}
	tr := New(p)
	if problem := tr.File("f.yaml"); problem != nil || tr.Err() != nil || p.Room.Key != "secret" {
		t.Fatalf("%v, %v, %+v", problem, tr.Err(), p)
	}
	dir, err := os.Getwd() // the form without symbolic links
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "f.yaml"), filepath.Join(dir, "key")}
	if got := tr.Files(); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("files %q, want %q", got, want)
	}
	sums := tr.Sums()
	if len(sums) != 2 || sums[want[0]] != sha256.Sum256([]byte("room: {key_file: key}\n")) || sums[want[1]] != sha256.Sum256([]byte("secret\n")) {
		t.Errorf("sums %v", sums)
	}
	if at := tr.Pos("room.key").String(); at != "f.yaml:1:18" {
		t.Errorf("the secret is at %s", at)
	}
	for name, want := range map[string]string{"none": "none: the file cannot be read: no such file or directory", ".": ".: the file cannot be read: is a directory"} {
		tr := New(&plan{})
		if p := tr.File(name); p == nil || p.Error() != want || len(tr.Files()) > 0 || tr.Err() != nil {
			t.Errorf("%s: %v, %q, %v", name, p, tr.Files(), tr.Err())
		}
	}
}

// A value that is not given has the position of the document.
func TestPosOfDocument(t *testing.T) {
	for document, want := range map[string]string{
		"": "f.yaml:1:1", "# nothing\n": "f.yaml:1:1", "---\n": "f.yaml:1:1", "\n  name: x\n": "f.yaml:2:3", "a: [": "f.yaml:1:1",
	} {
		tr := New(&plan{})
		tr.Document("f.yaml", []byte(document))
		if got := tr.Pos("room.size").String(); got != want {
			t.Errorf("%q: %s, want %s", document, got, want)
		}
		if tr.Given("room.size") || !tr.Given("") {
			t.Errorf("%q: Given returns a wrong result", document)
		}
	}
}

// The value of a key with the suffix _file must be a path.
func TestSecretFile(t *testing.T) {
	for value, want := range map[string]string{
		"[a]": "this is a list", "{a: b}": "this is a mapping", "''": "this is one value", "~": "empty value",
	} {
		if _, wrong := decoded("room: {key_file: " + value + "}\n"); !strings.Contains(wrong, "room.key_file: "+want+"; expected the path of a file") ||
			strings.Contains(wrong, "\n") {
			t.Errorf("%s: %s", value, wrong)
		}
	}
	file := filepath.Join(t.TempDir(), "key")
	for content, want := range map[string]string{
		"\t \n": file + " is empty", "ab\n": "what is in " + file + ": it has 2 bytes", strings.Repeat("a", maxSecret+1): "the file is larger than 65536 bytes",
		strings.Repeat("a", maxSecret): "",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, wrong := decoded("room: {key_file: " + file + "}\n"); (want == "") != (wrong == "") || !strings.Contains(wrong, want) ||
			strings.Contains(wrong, "\n") {
			t.Errorf("%.10q: %s, want %s", content, wrong, want)
		}
	}
}
