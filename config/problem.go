package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/handfast/handfast/internal/redact"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Pos  Pos    `json:"-"`                  // where; zero when a default is to blame
	Path string `json:"path,omitempty"`     // of the value: "endpoints[0].rules[1].when"
	Text string `json:"problem"`            // what is wrong: `"5 min" is no duration`
	Want string `json:"expected,omitempty"` // what was expected there; may be empty
	Hint string `json:"hint,omitempty"`     // the next step; may be empty
}

// Error is a line: place, path, what is wrong, what may have been meant, what was expected.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Pos != (Pos{}) {
		b.WriteString(p.Pos.String() + ": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	if p.Want != "" {
		b.WriteString("; expected " + p.Want)
	}
	return b.String()
}

// Error is all that is wrong with a configuration, in the order of the file.
type Error struct {
	Problems []*Problem // never empty
}

// Error is a line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, for errors.As.
func (e *Error) Unwrap() []error {
	list := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		list[i] = p
	}
	return list
}

// Problem returns a problem with the value at a path, for whoever finds out later that it is none that can be used, such
// as a rule that does not compile. The text is complete but for position and path.
func (c *Config) Problem(path, text, want string) *Problem {
	return &Problem{Pos: c.Pos(path), Path: path, Text: text, Want: want}
}

// ProblemIn is Problem for a place inside of a text: line and column count from 1 in the text of the value.
func (c *Config) ProblemIn(path string, line, column int, text, want string) *Problem {
	p := c.Problem(path, text, want)
	at, ok := c.source.texts[path]
	switch {
	case !ok: // not from a file
	case at.block && line >= 1:
		p.Pos.Line, p.Pos.Column = at.start.Line+line-1, at.start.Column+column-1
	case !at.block && line == 1:
		p.Pos.Line, p.Pos.Column = at.start.Line, at.start.Column+column-1
	}
	return p
}

// NewError puts problems together, sorted by where they are; nil when there are none.
func NewError(problems []*Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column))
	})
	return &Error{problems}
}

// quote shows a value in a message, but not at any length, nor what may be a secret in a URL.
func quote(text string) string {
	const most = 60
	if hidden := hideInURL(text); hidden != text {
		text = hidden
	} else if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 { // none that parses, and perhaps a password all the same
			text = scheme + "://" + redact.Mark + rest[at:]
		}
	}
	runes := []rune(text)
	if len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
