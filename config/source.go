package config

import (
	"strconv"
	"strings"
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

// source is where the values of a Config come from, by path.
type source struct {
	pos   map[string]Pos
	texts map[string]textPos
	files []string // that were read
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

// Files returns the files that were read: the configuration, and those that hold a secret or a key. A change of any of
// them is a reason to load again.
func (c *Config) Files() []string { return append([]string(nil), c.source.files...) }

// parentPath returns the path of what a path is part of: "a.b" of "a.b[0]", "a" of "a.b".
func parentPath(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
