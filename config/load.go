package config

import (
	"bytes"
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
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Sources are where a configuration comes from. What comes later in this struct wins.
type Sources struct {
	File    string    // a YAML file; "": none
	Environ []string  // as os.Environ has it; of it, what begins with HANDFAST_
	Set     []Setting // flags

	// Settings is asked for more flags, whose paths depend on how much there is: it sees the configuration as it is without
	// them, before it is checked. nil: there are none.
	Settings func(*Config) ([]Setting, error)

	// Check may find more that is wrong, so that it is told along with the rest: rules that do not compile. It is called
	// even when there are problems already, with what could be read; not when the file is no YAML. nil: nothing more.
	Check func(*Config) []*Problem
}

// Setting is one value that was given by a flag, or the like.
type Setting struct {
	Path  string // "listen[0].address"; the first index that a list does not have appends to it
	Value string // as in an environment variable
	From  string // what gave it, for messages: "--listen"
}

// The bounds on what is read.
const (
	maxFile   = 1 << 20
	maxSecret = 64 << 10
)

// Load makes a configuration, and checks it. The error is an [*Error] with all that is wrong, or that of Settings.
func Load(s Sources) (*Config, error) {
	l := newLoader()
	c := openToAll()
	if s.File != "" {
		c = base()
		text, err := readFile(s.File, maxFile)
		if err != nil {
			return nil, &Error{[]*Problem{{Pos: Pos{File: s.File}, Text: "the file cannot be read: " + why(err)}}}
		}
		l.src.read(absolute(s.File), text)
		if err := l.document(c, text, s.File); err != nil {
			return nil, &Error{[]*Problem{err}}
		}
	}
	l.environ(c, s.Environ)
	if s.File == "" {
		l.closed(c, s.Environ)
	}
	settings := s.Set
	if s.Settings != nil {
		more, err := s.Settings(c)
		if err != nil {
			return nil, err
		}
		settings = append(slices.Clip(settings), more...)
	}
	for _, set := range settings {
		l.set(c, set.Path, set.Value, Pos{File: set.From})
	}
	return l.finish(c, s.Check)
}

// closed takes the echo for everybody back where the environment protects something, or was to name a file.
func (l *loader) closed(c *Config, environ []string) {
	if slices.Contains(environ, EnvFile+"=") {
		l.problem(&Problem{Pos: Pos{File: "environment variable " + EnvFile}, Text: "it is empty", Want: "the path of a file, or no such variable"})
	}
	given := func(path string) bool { return strings.HasPrefix(path, "endpoints") }
	if len(c.Auth) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(l.src.pos)), given) {
		c.Endpoints = nil
	}
}

// Parse makes a configuration from a YAML document and nothing else, and checks it. The name is for messages; files that
// the document names are relative to its directory. The error is an [*Error].
func Parse(name string, document []byte) (*Config, error) {
	l := newLoader()
	c := base()
	if err := l.document(c, document, name); err != nil {
		return nil, &Error{[]*Problem{err}}
	}
	return l.finish(c, nil)
}

// A loader collects what is known about a configuration while it is made.
type loader struct {
	src      source
	problems []*Problem
	failed   map[string]bool // paths that have a problem already
}

func newLoader() *loader {
	return &loader{src: source{pos: map[string]Pos{}, texts: map[string]textPos{}, sums: map[string][sha256.Size]byte{}}, failed: map[string]bool{}}
}

// problem notes a problem.
func (l *loader) problem(p *Problem) {
	l.problems = append(l.problems, p)
	l.failed[p.Path] = true
}

// finish derives and checks.
func (l *loader) finish(c *Config, more func(*Config) []*Problem) (*Config, error) {
	c.source = l.src
	c.derive()
	l.check(c)
	if more != nil {
		for _, p := range more(c) {
			if !l.failed[p.Path] { // else there is a problem with it already, of which this is the consequence
				l.problem(p)
			}
		}
	}
	if err := NewError(l.problems); err != nil {
		return nil, err
	}
	return c, nil
}

// document sets c from a YAML document. It returns a problem when that is no YAML, so that nothing more can be told.
func (l *loader) document(c *Config, text []byte, name string) *Problem {
	body, p := parse(text, name)
	if p != nil {
		return p
	}
	if body == nil {
		l.src.pos[""] = Pos{name, 1, 1}
		return nil
	}
	newDecoder(l, name, text).decode(reflect.ValueOf(c).Elem(), body, "")
	return nil
}

// parse returns the value of the one document in a text, nil when it is empty.
func parse(text []byte, name string) (body ast.Node, problem *Problem) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, &Problem{Pos: Pos{name, 1, 1}, Text: "this is UTF-16", Want: "a YAML document in UTF-8"}
	}
	if i := bytes.IndexFunc(text, notYAML); i >= 0 {
		return nil, &Problem{Pos: offset(name, text, i), Text: "this is no text in UTF-8, or a control character",
			Want: "a YAML document"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // the mark that some editors put at the beginning
	defer func() {
		if r := recover(); r != nil { // the parser is not ours
			body, problem = nil, &Problem{Pos: Pos{name, 1, 1}, Text: fmt.Sprint("this cannot be read: ", r), Want: "a YAML document"}
		}
	}()
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxProblem(err, name, text)
	}
	for _, doc := range file.Docs {
		if d, ok := doc.Body.(*ast.DirectiveNode); ok {
			return nil, &Problem{Pos: linesOf(text).place(name, d.GetToken()), Text: "a directive has no meaning here"}
		}
		switch {
		case doc.Body == nil || isNull(doc.Body):
		case body != nil:
			return nil, &Problem{Pos: linesOf(text).place(name, doc.GetToken()), Text: "a second document begins here",
				Want: "one document in a file"}
		default:
			body = doc.Body
		}
	}
	return body, nil
}

// notYAML reports whether a character may not be in a YAML document (YAML 1.2.2 §5.1).
func notYAML(r rune) bool {
	return r == '\uFFFD' || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f
}

// offset returns the position of a byte.
func offset(name string, text []byte, i int) Pos {
	before := lineEnds.Replace(string(text[:i]))
	line := strings.LastIndexByte(before, '\n') + 1
	return Pos{name, strings.Count(before, "\n") + 1, len([]rune(before[line:])) + 1}
}

// syntaxProblem turns the parser's error into ours.
func syntaxProblem(err error, name string, text []byte) *Problem {
	p := &Problem{Pos: Pos{name, 1, 1}, Text: "this is no YAML", Want: "a YAML document"}
	var at interface {
		error
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &at) {
		p.Text = "this is no YAML: " + at.GetMessage()
		if strings.Contains(at.GetMessage(), "'\t'") || strings.Contains(at.GetMessage(), "'\\t'") {
			p.Text = "this is no YAML: a tab stands where only spaces may"
		}
		p.Pos = linesOf(text).place(name, at.GetToken())
	}
	return p
}

// fromFile sets a value to what a file holds, without the white space around it.
func (d *decoder) fromFile(v reflect.Value, e entry, path, filePath string) {
	n, ok := d.resolve(e.value, filePath)
	if !ok {
		return
	}
	text, ok := scalarText(n)
	if !ok || text == "" {
		d.problem(n, filePath, "this is "+kindOf(n), pathType.String())
		return
	}
	d.l.src.pos[path] = d.at(n)
	d.l.readInto(v, path, filePath, d.l.absolute(Path(text), d.file), d.at(n))
}

// readInto sets a value to what a file holds.
func (l *loader) readInto(v reflect.Value, path, filePath string, file Path, at Pos) {
	content, err := readFile(string(file), maxSecret)
	text := strings.TrimSpace(string(content))
	switch {
	case err != nil:
		l.problem(&Problem{Pos: at, Path: filePath, Text: string(file) + " cannot be read: " + why(err)})
	case text == "":
		l.problem(&Problem{Pos: at, Path: filePath, Text: string(file) + " is empty"})
	default:
		if err := setText(v, text); err != nil {
			l.problem(&Problem{Pos: at, Path: filePath, Text: "what is in " + string(file) + ": " + err.Error(), Want: wantOf(v.Type())})
		}
	}
	l.failed[path] = l.failed[filePath]
	if err == nil {
		l.src.read(string(file), content)
	}
}

// absolute returns a path that does not depend on the working directory. It is relative to the directory of the file
// that names it, "" for what stands in none.
func (l *loader) absolute(p Path, in string) Path {
	if p == "" || filepath.IsAbs(string(p)) {
		return p
	}
	if in != "" {
		p = Path(filepath.Join(filepath.Dir(in), string(p)))
	}
	return Path(absolute(string(p)))
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path // the working directory is gone: it is as good as any
}

// readFile reads a file of limited size. A pipe that a shell has passed with <(…) is empty when it is read again, after a
// SIGHUP: that is no configuration without settings, which would let everybody in.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		content, err := readPipe(name, limit, pipePatience)
		if err == nil && len(content) == 0 && info.Mode()&fs.ModeNamedPipe != 0 {
			err = errors.New("it is a pipe with nothing in it; what comes through a pipe can be read once")
		}
		return content, err
	}
	return readSome(name, limit)
}

func readSome(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("it is larger than %s", Bytes(limit))
	}
	return content, err
}

// pipePatience bounds the wait for whoever is to write into a pipe.
const pipePatience = 10 * time.Second

// readPipe is readSome for what may have nobody who writes into it. Opening it cannot be broken off, so the reader is left
// behind until somebody writes, or the process ends.
func readPipe(name string, limit int64, patience time.Duration) ([]byte, error) {
	type result struct {
		content []byte
		err     error
	}
	done := make(chan result, 1)
	go func() {
		content, err := readSome(name, limit)
		done <- result{content, err}
	}()
	select {
	case r := <-done:
		return r.content, r.err
	case <-time.After(patience):
		return nil, fmt.Errorf("it is a pipe, and nobody has written it to its end in %s", patience)
	}
}

// why returns what an error of the file system says, without the path.
func why(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
