package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The size limits of files, in bytes.
const (
	MaxFile   = 1 << 20
	maxSecret = 64 << 10
)

// Tree is a configuration with the sources of its values, and its problems.
type Tree struct {
	root     reflect.Value
	pos      map[string]Pos
	texts    map[string]textPos
	document string            // the name of the configuration file, as in Pos.File; "" if there is none
	from     map[string]string // the names of the files that secrets were read from, by the paths of the secrets
	files    []string
	sums     map[string][sha256.Size]byte
	problems []*Problem
	failed   map[string]bool // paths with a problem
}

// New returns a Tree for the struct or list that root points to, which must be set to its defaults.
func New(root any) *Tree {
	return &Tree{root: reflect.ValueOf(root).Elem(), pos: map[string]Pos{}, texts: map[string]textPos{},
		from: map[string]string{}, sums: map[string][sha256.Size]byte{}, failed: map[string]bool{}}
}

// Report adds a problem.
func (t *Tree) Report(p *Problem) {
	const maxPath = 200
	t.failed[p.Path] = true
	if len(p.Path) > maxPath {
		p.Path = p.Path[:maxPath] + "…"
	}
	t.problems = append(t.problems, p)
}

// Wrong reports a problem with the value at a path, unless that value already has one.
func (t *Tree) Wrong(path, text, want string) { t.wrong(t.Problem(path, text, want)) }

func (t *Tree) wrong(p *Problem) {
	if !t.failed[p.Path] {
		t.Report(p)
	}
}

// Unknown is like Wrong, for an unknown word. It suggests a similar known word.
func (t *Tree) Unknown(path, text, word string, known []string) {
	t.wrong(t.Problem(path, text, OneOf(known)).withSuggestion(Nearest(word, known)))
}

// Failed reports whether there is a problem with the value at a path.
func (t *Tree) Failed(path string) bool { return t.failed[path] }

// Err returns all problems as an [*Error]; nil if there are none.
func (t *Tree) Err() error { return NewError(t.problems) }

// Problem returns a problem with the value at a path.
func (t *Tree) Problem(path, text, want string) *Problem {
	return &Problem{Pos: t.Pos(path), Path: path, Text: text, Want: want}
}

// ProblemIn is like Problem, for a position inside a text: line and column are counted from 1 in the value.
func (t *Tree) ProblemIn(path string, line, column int, text, want string) *Problem {
	p := t.Problem(path, text, want)
	at, ok := t.texts[path]
	switch {
	case !ok: // the position inside the text is not known
	case at.block && line >= 1:
		p.Pos.Line, p.Pos.Column = at.start.Line+line-1, at.start.Column+column-1
	case !at.block && line == 1:
		p.Pos.Line, p.Pos.Column = at.start.Line, at.start.Column+column-1
	}
	return p
}

// Pos returns the position of the value at a path. If the value was not given, Pos returns the position of the nearest value that
// contains it and was given, and the zero Pos if there is no document.
func (t *Tree) Pos(path string) Pos {
	for ; path != ""; path = parent(path) {
		if p, ok := t.pos[path]; ok {
			return p
		}
	}
	return t.pos[""]
}

// Given reports whether the value at a path was given.
func (t *Tree) Given(path string) bool {
	_, ok := t.pos[path]
	return ok
}

// Files returns the names of the files that were read.
func (t *Tree) Files() []string { return slices.Clone(t.files) }

// Sums returns the SHA-256 sums of the contents of the files that were read, by name.
func (t *Tree) Sums() map[string][sha256.Size]byte { return maps.Clone(t.sums) }

// File sets the values from a YAML file. It returns a problem if the file cannot be read or is not YAML; otherwise it returns nil, and
// adds other problems to the tree.
func (t *Tree) File(name string) *Problem {
	text, err := readFile(name, MaxFile, pipeTimeout)
	if err != nil {
		return &Problem{Pos: Pos{File: name}, Text: "the file cannot be read: " + Why(err)}
	}
	t.document = name
	t.note(absolute(name), text)
	return t.Document(name, text)
}

// Document is like File, for a text. The name is used in messages; paths in the document are relative to the name's directory.
func (t *Tree) Document(name string, text []byte) *Problem {
	g, p := read(text, name, nil, t.Report)
	if p != nil || g == nil {
		t.pos[""] = Pos{name, 1, 1}
		return p
	}
	t.decode(t.root, g, "", filepath.Dir(name))
	return nil
}

// note records a file that was read, and the sum of its content.
func (t *Tree) note(file string, content []byte) {
	if _, known := t.sums[file]; !known {
		t.files = append(t.files, file)
		t.sums[file] = sha256.Sum256(content)
	}
}

// fromFile sets the value at a path to the contents of a file, without surrounding white space.
func (t *Tree) fromFile(v reflect.Value, path, file string, at Pos) {
	t.pos[path], t.from[path] = at, file
	content, err := readFile(file, maxSecret, pipeTimeout)
	text := strings.TrimSpace(string(content))
	problem := ""
	switch {
	case err != nil:
		problem = file + " cannot be read: " + Why(err)
	case text == "":
		problem = file + " is empty"
	default:
		if err := setText(v, text); err != nil {
			problem = "what is in " + file + ": " + err.Error()
		}
	}
	if problem != "" {
		t.Report(&Problem{Pos: at, Path: path + fileSuffix, Text: problem})
		t.failed[path] = true
	}
	if err == nil {
		t.note(file, content)
	}
}

// absolute returns the absolute form of a path.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path // the working directory no longer exists: keep the path
}

// In returns the absolute form of a path, where relative paths are relative to dir.
func In(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return absolute(filepath.Join(dir, path))
}

// pipeTimeout is the default time limit for reading a pipe from a program that has the pipe open for writing.
const pipeTimeout = 10 * time.Second

// readFile reads a file of limited size. An empty pipe is an error: a pipe that a shell has passed with <(…) is empty when it is read
// again, for example after a SIGHUP. The file is opened without waiting for a writer.
func readFile(name string, limit int64, timeout time.Duration) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(timeout)) // fails for regular files, which do not need a deadline
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("the file is larger than %d bytes", limit)
	}
	if info, err := f.Stat(); err == nil && len(content) == 0 && info.Mode()&fs.ModeNamedPipe != 0 {
		return nil, errors.New("the pipe is empty; a pipe can be read only once")
	}
	return content, nil
}

// Why returns the reason for a file system error without the path.
func Why(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
