package tree

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/internal/redact"
)

// Pos is the position of a value.
type Pos struct {
	File   string `json:"source,omitempty"` // a file name, or another source such as "--listen"
	Line   int    `json:"line,omitempty"`   // counted from 1; 0 if not in a file
	Column int    `json:"column,omitempty"` // in characters, counted from 1
}

// String returns "handfast.yaml:12:5", or the description of the source.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// Problem is one problem of a configuration.
type Problem struct {
	Pos         // the position; zero for a default
	Path string `json:"path,omitempty"`     // the path of the value: "endpoints[0].rules[1].when"
	Text string `json:"problem"`            // the problem: `"5 min" is not a duration`
	Want string `json:"expected,omitempty"` // what was expected; may be empty
	Hint string `json:"hint,omitempty"`     // the next step; may be empty
}

// Error returns the problem on one line: position, path, text, hint, and what was expected.
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

// NextStep returns p.Hint.
func (p *Problem) NextStep() string { return p.Hint }

// withSuggestion adds a hint with a similar known word, if there is one.
func (p *Problem) withSuggestion(word string) *Problem {
	if word != "" {
		p.Hint = "did you mean " + word + "?"
	}
	return p
}

// Error is a list of all problems of a configuration, in the order of the file.
type Error struct {
	Problems []*Problem // never empty
}

// Error returns one line for each problem.
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

// NewError combines problems, sorted by position; it returns nil if there are none.
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

// Quote quotes a value for a message. It shortens a long value, and hides possible secrets in URLs.
func Quote(text string) string {
	const maxQuoted = 60
	if hidden := hideInURL(text); hidden != text {
		text = hidden
	} else if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 { // not a valid URL, but it may contain a password
			text = scheme + "://" + redact.Mark + rest[at:]
		}
	}
	if runes := []rune(text); len(runes) > maxQuoted {
		text = string(runes[:maxQuoted]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

// urlPattern matches a text that is entirely a URL.
var urlPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+$`)

// hideInURL returns a text with possible secrets hidden: a URL may contain a password before its host, and a token in its query.
func hideInURL(text string) string {
	if !urlPattern.MatchString(text) {
		return text
	}
	return redact.Setting(text)
}
