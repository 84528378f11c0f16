package config

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// Pos is where a value was given.
type Pos struct {
	File   string // a file; or what else gave it, in words: "environment variable HANDFAST_LOG_LEVEL", "--listen"
	Line   int    // counted from 1; 0: not in a file
	Column int    // in characters, counted from 1
}

// String is "handfast.yaml:12:5", or the words.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// lines are the lengths of a document's lines, in characters.
type lines []int

// linesOf measures a document.
func linesOf(document []byte) lines {
	var l lines
	for line := range strings.SplitSeq(lineEnds.Replace(string(document)), "\n") {
		l = append(l, utf8.RuneCountInString(line))
	}
	return l
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// place returns a position that the document has: the parser's are behind its end now and then, where it is strange.
func (l lines) place(file string, t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return Pos{file, 1, 1}
	}
	line := min(max(t.Position.Line, 1), len(l))
	return Pos{file, line, min(max(t.Position.Column, 1), l[line-1]+1)}
}

// source is where the values of a Config come from, by path.
type source struct {
	pos   map[string]Pos
	texts map[string]textPos
	files []string                     // that were read
	sums  map[string][sha256.Size]byte // what was in them
}

// textPos is where the first character of a text is.
type textPos struct {
	start Pos
	block bool // its lines are lines of the file
}

// Pos returns where the value at a path was given, "endpoints[0].rules[1].when", or what it is part of when it was not
// given itself. The zero Pos means that nobody gave anything: it is a default.
func (c *Config) Pos(path string) Pos {
	for ; path != ""; path = parentPath(path) {
		if p, ok := c.source.pos[path]; ok {
			return p
		}
	}
	return c.source.pos[""]
}

// read notes a file that was read, once, with what was in it.
func (s *source) read(file string, content []byte) {
	if _, known := s.sums[file]; !known {
		s.files = append(s.files, file)
		s.sums[file] = sha256.Sum256(content)
	}
}

// Files returns the files that were read: the configuration, and those that hold a secret or a key. A change of any of
// them is a reason to load again.
func (c *Config) Files() []string { return append([]string(nil), c.source.files...) }

// parentPath returns the path of what a path is part of: "a.b" of "a.b[0]", "a" of "a.b".
func parentPath(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
