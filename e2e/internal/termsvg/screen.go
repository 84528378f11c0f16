// Package termsvg renders a program's terminal output as SVG with real text, in colors that follow the reader's light or dark mode,
// and with a title and a description for readers who cannot see the image.
package termsvg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Style is the style of characters, as set by the escape sequence SGR.
type Style struct {
	Bold, Dim bool
	Color     int // an SGR parameter from 31 to 36; 0 means the terminal's default
}

// Span is a run of characters with the same style.
type Span struct {
	Text  string
	Style Style
}

// Line is a line on the screen.
type Line []Span

// String returns the line's text.
func (l Line) String() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.Text)
	}
	return b.String()
}

type cell struct {
	r     rune
	style Style
}

// screen is a terminal with an unlimited number of lines.
type screen struct {
	rows     [][]cell
	row, col int
	style    Style
}

// Screen returns the contents of a terminal after output was written to it. It supports the escape sequences that handfast writes, and
// returns an error for any other sequence.
func Screen(output string) ([]Line, error) {
	s := &screen{rows: [][]cell{nil}}
	for output != "" {
		if rest, ok := strings.CutPrefix(output, "\x1b["); ok {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
			if end < 0 {
				return nil, fmt.Errorf("an escape sequence does not end: %q", output)
			}
			if err := s.sequence(rest[end], rest[:end]); err != nil {
				return nil, err
			}
			output = rest[end+1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(output)
		if err := s.write(r); err != nil {
			return nil, err
		}
		output = output[size:]
	}
	return s.lines(), nil
}

func (s *screen) write(r rune) error {
	switch {
	case r == '\n':
		if s.row++; s.row == len(s.rows) {
			s.rows = append(s.rows, nil)
		}
	case r == '\r':
		s.col = 0
	case r < ' ':
		return fmt.Errorf("the control character %q", r)
	default:
		for len(s.rows[s.row]) <= s.col {
			s.rows[s.row] = append(s.rows[s.row], cell{r: ' '})
		}
		s.rows[s.row][s.col] = cell{r, s.style}
		s.col++
	}
	return nil
}

// sequence executes the escape sequence with the given parameters and final byte.
func (s *screen) sequence(final byte, parameters string) error {
	n := 1
	if final != 'm' && parameters != "" {
		var err error
		if n, err = strconv.Atoi(parameters); err != nil {
			return fmt.Errorf("the escape sequence %q%c: %w", parameters, final, err)
		}
	}
	switch final {
	case 'C':
		s.col += n
	case 'D':
		s.col = max(s.col-n, 0)
	case 'A':
		s.row = max(s.row-n, 0)
	case 'K': // erase to the end of the line
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
	case 'J': // erase to the end of the screen
		s.rows = s.rows[:s.row+1]
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
	case 'm':
		for p := range strings.SplitSeq(parameters, ";") {
			if err := s.render(p); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("the escape sequence %q%c", parameters, final)
	}
	return nil
}

// render changes the style according to one SGR parameter.
func (s *screen) render(parameter string) error {
	switch parameter {
	case "", "0":
		s.style = Style{}
	case "1":
		s.style.Bold = true
	case "2":
		s.style.Dim = true
	case "31", "32", "33", "34", "35", "36":
		s.style.Color, _ = strconv.Atoi(parameter) //nolint:errcheck // the case matches only numbers
	default:
		return fmt.Errorf("the style %q", parameter)
	}
	return nil
}

// lines returns the contents of the screen, without trailing spaces and empty lines at the end.
func (s *screen) lines() []Line {
	var all []Line
	for _, row := range s.rows {
		var line Line
		for len(row) > 0 && row[len(row)-1].r == ' ' {
			row = row[:len(row)-1]
		}
		for _, c := range row {
			if len(line) == 0 || line[len(line)-1].Style != c.style {
				line = append(line, Span{Style: c.style})
			}
			line[len(line)-1].Text += string(c.r)
		}
		all = append(all, line)
	}
	for len(all) > 0 && len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	return slices.Clip(all)
}
