package cli

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// terminal returns the file of a stream if it is a terminal, otherwise nil.
func terminal(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// paint colors text on a terminal.
type paint bool

// newPaint returns true if the stream is a terminal that supports colors, unless NO_COLOR is set (no-color.org).
func newPaint(sys *System, stream any) paint {
	return paint(terminal(stream) != nil && sys.Getenv("NO_COLOR") == "" && sys.Getenv("TERM") != "dumb")
}

func (p paint) bold(s string) string  { return p.style("1", s) }
func (p paint) dim(s string) string   { return p.style("2", s) }
func (p paint) green(s string) string { return p.style("32", s) }

func (p paint) style(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// shellQuote quotes a word for a POSIX shell.
func shellQuote(s string) string {
	safe := func(r rune) bool {
		return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+=:,@%", r))
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// choice is the value of a flag with a fixed set of values.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(s string) error {
	for _, a := range c.allowed {
		if s == a {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("the value must be one of %s", strings.Join(c.allowed, ", "))
}
