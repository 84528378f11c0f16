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

// The bounds on what is read.
const (
	MaxFile   = 1 << 20
	maxSecret = 64 << 10
)

// Tree is a configuration with where its values come from, and what is wrong with them.
type Tree struct {
	root     reflect.Value
	pos      map[string]Pos
	texts    map[string]textPos
	files    []string
	sums     map[string][sha256.Size]byte
	problems []*Problem
	failed   map[string]bool // paths that have a problem already
}

// New returns a Tree for the struct or list that root points to, which has its defaults.
func New(root any) *Tree {
	return &Tree{root: reflect.ValueOf(root).Elem(), pos: map[string]Pos{}, texts: map[string]textPos{},
		sums: map[string][sha256.Size]byte{}, failed: map[string]bool{}}
}

// Report notes a problem.
func (t *Tree) Report(p *Problem) {
	const most = 200
	t.failed[p.Path] = true
	if len(p.Path) > most {
		p.Path = p.Path[:most] + "…"
	}
	t.problems = append(t.problems, p)
}

// Wrong notes a problem with the value at a path, unless there is one with that value already.
func (t *Tree) Wrong(path, text, want string) { t.wrong(t.Problem(path, text, want)) }

func (t *Tree) wrong(p *Problem) {
	if !t.failed[p.Path] {
		t.Report(p)
	}
}

// Unknown is Wrong for an unknown word: it suggests a similar known one.
func (t *Tree) Unknown(path, text, word string, known []string) {
	t.wrong(t.Problem(path, text, OneOf(known)).meant(Nearest(word, known)))
}

// Failed reports whether there is a problem with the value at a path.
func (t *Tree) Failed(path string) bool { return t.failed[path] }

// Err returns all that is wrong, an [*Error]; nil when nothing is.
func (t *Tree) Err() error { return NewError(t.problems) }

// Problem returns a problem with the value at a path.
func (t *Tree) Problem(path, text, want string) *Problem {
	return &Problem{Pos: t.Pos(path), Path: path, Text: text, Want: want}
}

// ProblemIn is Problem for a place inside of a text: line and column count from 1 in the text of the value.
func (t *Tree) ProblemIn(path string, line, column int, text, want string) *Problem {
	p := t.Problem(path, text, want)
	at, ok := t.texts[path]
	switch {
	case !ok: // not from a file
	case at.block && line >= 1:
		p.Pos.Line, p.Pos.Column = at.start.Line+line-1, at.start.Column+column-1
	case !at.block && line == 1:
		p.Pos.Line, p.Pos.Column = at.start.Line, at.start.Column+column-1
	}
	return p
}

// Pos returns where the value at a path was given, or what it is part of when it was not given itself. The zero Pos means
// that nothing was given: it is a default.
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

// Files returns the files that were read.
func (t *Tree) Files() []string { return slices.Clone(t.files) }

// Sums returns the SHA-256 of what was in the files.
func (t *Tree) Sums() map[string][sha256.Size]byte { return maps.Clone(t.sums) }

// File sets what the YAML document in a file gives. The problem that it returns, nil for none, is one that says everything:
// the file cannot be read, or is not YAML. The other problems are noted.
func (t *Tree) File(name string) *Problem {
	text, err := readFile(name, MaxFile, pipePatience)
	if err != nil {
		return &Problem{Pos: Pos{File: name}, Text: "the file cannot be read: " + Why(err)}
	}
	t.note(absolute(name), text)
	return t.Document(name, text)
}

// Document is File for a text. The name is for messages; files that the document names are relative to its directory.
func (t *Tree) Document(name string, text []byte) *Problem {
	g, p := read(text, name, nil, t.Report)
	if p != nil || g == nil {
		t.pos[""] = Pos{name, 1, 1}
		return p
	}
	t.decode(t.root, g, "", filepath.Dir(name))
	return nil
}

// note remembers a file that was read, once, with what was in it.
func (t *Tree) note(file string, content []byte) {
	if _, known := t.sums[file]; !known {
		t.files = append(t.files, file)
		t.sums[file] = sha256.Sum256(content)
	}
}

// fromFile sets the value at a path to what a file holds, without the white space around it.
func (t *Tree) fromFile(v reflect.Value, path, file string, at Pos) {
	t.pos[path] = at
	content, err := readFile(file, maxSecret, pipePatience)
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

// absolute returns a path that does not depend on the working directory.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path // the working directory is gone: it is as good as any
}

// In returns a path that does not depend on the working directory: one that is not absolute is relative to dir.
func In(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return absolute(filepath.Join(dir, path))
}

// pipePatience bounds the wait for a program that has a pipe open for writing.
const pipePatience = 10 * time.Second

// readFile reads a file of limited size. A pipe that a shell has passed with <(…) is empty when it is read again, after a
// SIGHUP: that is an error, and not a configuration that says nothing. It is opened without waiting for a writer.
func readFile(name string, limit int64, patience time.Duration) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(patience)) // not for a file, which does not wait
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	}
	if info, err := f.Stat(); err == nil && len(content) == 0 && info.Mode()&fs.ModeNamedPipe != 0 {
		return nil, errors.New("it is an empty pipe; a pipe can be read only once")
	}
	return content, nil
}

// Why returns what an error of the file system says, without the path.
func Why(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
