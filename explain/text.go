package explain

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// TextOptions configure the text of a report. The zero value means no colours and 100 columns.
type TextOptions struct {
	// Color enables the colours of a terminal.
	Color bool
	// Width is the maximum number of columns of a line. 0 means 100. The minimum is 60.
	Width int
}

// Text writes a report as text while Explain creates the report: Begin, Step and Frame can be used as Options.OnBegin, OnStep and OnFrame,
// and End writes the outcome. Text is not safe for concurrent use. After an error of the writer, nothing more is written, and End returns
// the error.
type Text struct {
	w     io.Writer
	color bool
	width int
	live  int // number of frames that Frame has written in the current watch
	err   error
}

// NewText returns a Text that writes to w. nil options mean the defaults.
func NewText(w io.Writer, opts *TextOptions) *Text {
	x := &Text{w: w, width: 100}
	if opts != nil {
		x.color = opts.Color
		if opts.Width != 0 {
			x.width = max(opts.Width, 60)
		}
	}
	return x
}

// WriteText writes the whole report as text. nil options mean the defaults.
func (r *Report) WriteText(w io.Writer, opts *TextOptions) error {
	x := NewText(w, opts)
	for _, s := range r.Steps {
		x.Step(s)
	}
	return x.End(r)
}

// The layout of the text.
const (
	stageColumn = 11 // the width of the stage
	noteColumn  = 46 // the column of the notes on lines
	inset       = "    "
)

// Begin writes the title of a step in which frames are written immediately.
func (x *Text) Begin(stage Stage, title string) {
	if stage == StageWatch {
		x.printf("%s %s%s\n", x.paint(dim, "…"), x.paint(bold, pad(string(stage), stageColumn)), title)
		x.live = 0
	}
}

// Step writes a completed step, without the frames that Frame has written.
func (x *Text) Step(s Step) {
	mark := x.paint(green, "✓")
	if !s.OK {
		mark = x.paint(red, "✗")
	}
	took := s.Duration.String()
	lines := wrap(stepTitle(s), x.width-2-stageColumn-width(took)-3)
	gap := x.width - 2 - stageColumn - width(lines[0]) - width(took)
	x.printf("%s %s%s%s%s\n", mark, x.paint(bold, pad(string(s.Stage), stageColumn)), lines[0],
		strings.Repeat(" ", max(gap, 1)), x.paint(dim, took))
	for _, line := range lines[1:] {
		x.printf("  %s%s\n", strings.Repeat(" ", stageColumn), line)
	}
	x.lines(x.paint(green, "→"), s.Sent)
	x.lines(x.paint(cyan, "←"), s.Received)
	x.facts(s.Facts)
	for i, f := range s.Frames {
		if s.Stage != StageWatch || i >= x.live {
			x.frame(f)
		}
	}
	for _, c := range s.Rules {
		x.check(c)
	}
	if s.Stage == StageWatch {
		x.live = 0
	}
}

// stepTitle returns the title of a step and its result.
func stepTitle(s Step) string {
	if s.Result == "" {
		return s.Title
	}
	return s.Title + ": " + s.Result
}

// Frame writes a frame of the current step.
func (x *Text) Frame(f Frame) {
	x.live++
	x.frame(f)
}

// lines writes lines and their notes, after an arrow.
func (x *Text) lines(arrow string, lines []Line) {
	for _, l := range lines {
		text := wrapHard(l.Text, x.width-len(inset)-2)
		for i, part := range text {
			if i > 0 {
				arrow = " "
			}
			end := "\n"
			if i == len(text)-1 && l.Note != "" && width(part) < noteColumn-2 && !tooNarrow(x.width) {
				notes := wrap(l.Note, x.width-len(inset)-2-noteColumn)
				end = strings.Repeat(" ", noteColumn-width(part)) + x.paint(dim, notes[0]) + "\n"
				for _, n := range notes[1:] {
					end += inset + strings.Repeat(" ", noteColumn+2) + x.paint(dim, n) + "\n"
				}
			} else if i == len(text)-1 && l.Note != "" {
				at := map[bool]int{true: 4, false: noteColumn}[tooNarrow(x.width)]
				for _, n := range wrap(l.Note, x.width-len(inset)-2-at) {
					end += inset + strings.Repeat(" ", at+2) + x.paint(dim, n) + "\n"
				}
			}
			x.printf("%s%s %s%s", inset, arrow, part, end)
		}
	}
}

// tooNarrow reports whether there is no room for notes in a separate column.
func tooNarrow(columns int) bool { return columns < 90 }

// facts writes names and values in two columns.
func (x *Text) facts(facts []Fact) {
	column := 0
	for _, f := range facts {
		column = max(column, width(f.Name)+2)
	}
	for _, f := range facts {
		for i, line := range wrap(f.Value, x.width-len(inset)-2-column) {
			name := f.Name
			if i > 0 {
				name = ""
			}
			x.printf("%s  %s%s\n", inset, x.paint(dim, pad(name, column)), line)
		}
	}
}

// check writes a rule, and whether the rule was followed.
func (x *Text) check(c Check) {
	mark := x.paint(green, "✓")
	if !c.Held {
		mark = x.paint(red, "✗")
	}
	clause := pad(c.Clause, 24)
	if x.width < 80 {
		clause = pad(c.Clause, width(c.Clause)+2)
	}
	for i, line := range wrap(ruleText(c), x.width-len(inset)-2-width(clause)) {
		if i > 0 {
			mark, clause = " ", strings.Repeat(" ", width(clause))
		}
		x.printf("%s%s %s%s\n", inset, mark, x.paint(dim, clause), line)
	}
}

// ruleText returns the text of a rule with the observation, and with "not met" if the rule was violated.
func ruleText(c Check) string {
	text := c.Text
	if !c.Held {
		text = "not met: " + text
	}
	if c.Detail != "" {
		text += " (" + c.Detail + ")"
	}
	return text
}

// frame writes one frame as a row with direction, time, opcode, length and content.
func (x *Text) frame(f Frame) {
	arrow := x.paint(cyan, "←")
	if f.Sent {
		arrow = x.paint(green, "→")
	}
	c := cellsOf(f)
	text := c.Text
	room := max(x.width-len(inset)-35, 20)
	if f.Error != "" {
		wrong := shorten("✗ "+f.Error, room)
		text = strings.TrimSpace(shorten(text, room-width(wrong)-1) + " " + x.paint(red, wrong))
	} else {
		text = shorten(text, room)
	}
	x.printf("%s%s %s %s %8s  %s\n", inset, arrow, x.paint(dim, fmt.Sprintf("%8s", c.At)), pad(c.Opcode, 13), c.Length, text)
}

// frameCells contains the columns in which a frame is displayed.
type frameCells struct{ At, Opcode, Length, Text string }

func cellsOf(f Frame) frameCells {
	c := frameCells{At: fmt.Sprintf("%.3fs", time.Duration(f.At).Seconds()), Opcode: f.Opcode, Length: fmt.Sprint(f.Length), Text: f.Preview}
	if !f.Fin && f.Error == "" {
		c.Opcode += "…"
	}
	if f.Compressed {
		c.Length += "z"
		if f.Inflated > 0 {
			c.Length = fmt.Sprintf("%d→%d", f.Length, f.Inflated)
		}
	}
	if f.Opcode == "close" {
		c.Text = strings.TrimSpace(fmt.Sprintf("%d %s", f.Code, f.Preview))
	}
	return c
}

// shorten truncates s to n columns, with an ellipsis at the end. It returns "" if n is less than 2.
func shorten(s string, n int) string {
	switch {
	case width(s) <= n:
		return s
	case n < 2:
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}

// The colours, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (x *Text) paint(code, s string) string {
	if !x.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (x *Text) printf(format string, args ...any) {
	if x.err == nil {
		s := fmt.Sprintf(format, args...)
		for line := range strings.Lines(s) {
			if _, x.err = io.WriteString(x.w, trimEnd(line)); x.err != nil {
				return
			}
		}
	}
}

// trimEnd removes spaces from the end of a complete line. It returns an incomplete line unchanged.
func trimEnd(line string) string {
	if text, ok := strings.CutSuffix(line, "\n"); ok {
		return strings.TrimRight(text, " ") + "\n"
	}
	return line
}

func width(s string) int { return utf8.RuneCountInString(s) }

func pad(s string, n int) string { return s + strings.Repeat(" ", max(n-width(s), 0)) }

// wrap splits s into lines of at most n characters, between words if possible. It returns at least one line.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) <= n:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
		for width(line) > n {
			parts := wrapHard(line, n)
			lines = append(lines, parts[:len(parts)-1]...)
			line = parts[len(parts)-1]
		}
	}
	return append(lines, line)
}

// wrapHard splits s into lines of n characters, without regard to words. The minimum of n is 10.
func wrapHard(s string, n int) []string {
	n = max(n, 10)
	var lines []string
	for runes := []rune(s); ; {
		if len(runes) <= n {
			return append(lines, string(runes))
		}
		lines = append(lines, string(runes[:n]))
		runes = runes[n:]
	}
}
