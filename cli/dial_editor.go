package cli

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/visible"
)

// maxTyped is the maximum size in bytes of a line that is typed or pasted.
const maxTyped = 1 << 20

// The limits of the history.
const (
	maxHistory     = 100
	maxHistorySize = 1 << 20
)

// editor holds and changes the line that is being typed. It does not draw the line. It must not be used concurrently.
type editor struct {
	line    []rune
	at      int    // the position of the cursor in line
	size    int    // the size of line in bytes
	over    int    // the number of bytes that did not fit
	pending []byte // an incomplete key

	history []string // oldest first
	recall  int      // the index of the entry that is shown, counted from the end; 0 means none
	unsent  []rune   // the typed line, while a line of the history is shown
}

// key is an effect of a key that does not change the line.
type key int

const (
	keyEnter key = iota
	keyEnd       // Ctrl-D on an empty line
	keyInterrupt
	keySuspend
	keyClear
	keyBell // an unknown key, or one without an effect
)

// event is a key, with the line for keyEnter.
type event struct {
	key  key
	line string
	over int // the number of bytes of the line that did not fit
}

// feed processes typed bytes.
func (e *editor) feed(b []byte) (events []event) {
	e.pending = append(e.pending, b...)
	var run []rune // consecutive characters, which are inserted together because a paste may be long
	flush := func() {
		e.insert(run)
		run = run[:0]
	}
	for len(e.pending) > 0 {
		b := e.pending
		n, size := 1, 0
		switch {
		case b[0] == 0x1b:
			if n = escape(b); n == 0 {
				flush()
				return events // the rest of the key has not arrived yet
			}
			flush()
			if !e.move(string(b[:n])) {
				events = append(events, event{key: keyBell})
			}
		case b[0] == '\t' || b[0] >= ' ' && b[0] != 0x7f:
			if !utf8.FullRune(b) {
				flush()
				return events
			}
			var r rune
			if r, size = utf8.DecodeRune(b); r == utf8.RuneError && size == 1 || unicode.IsControl(r) && r != '\t' {
				events = append(events, event{key: keyBell})
			} else {
				run = append(run, r)
			}
			n = size
		default:
			flush()
			if ev, ok := e.control(b[0]); ok {
				events = append(events, ev)
			}
		}
		e.pending = e.pending[n:]
	}
	flush()
	e.pending = nil
	return events
}

// escape returns the length of the escape sequence at the beginning of b, or 0 if the sequence is incomplete.
func escape(b []byte) int {
	const longest = 32
	switch {
	case len(b) == 1:
		return 0
	case b[1] == 'O' && len(b) == 2:
		return 0
	case b[1] == 'O':
		return 3
	case b[1] != '[':
		return 1 // the Escape key alone
	}
	for i, c := range b[2:] {
		if c >= 0x40 && c <= 0x7e || i == longest {
			return i + 3
		}
	}
	return 0
}

// move executes an escape sequence, and reports whether it is known.
func (e *editor) move(sequence string) bool {
	switch sequence {
	case "\x1b[A", "\x1bOA":
		return e.show(e.recall + 1)
	case "\x1b[B", "\x1bOB":
		return e.show(e.recall - 1)
	case "\x1b[C", "\x1bOC":
		e.at = min(e.at+1, len(e.line))
	case "\x1b[D", "\x1bOD":
		e.at = max(e.at-1, 0)
	case "\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~":
		e.at = 0
	case "\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~":
		e.at = len(e.line)
	case "\x1b[3~":
		e.remove(e.at, min(e.at+1, len(e.line)))
	case "\x1b[1;5C":
		e.at = e.wordEnd()
	case "\x1b[1;5D":
		e.at = e.wordStart()
	case "\x1b", "\x1b[200~", "\x1b[201~": // the Escape key alone, and the markers around a paste, have no effect
	default:
		return false
	}
	return true
}

// control executes a control character.
func (e *editor) control(c byte) (event, bool) {
	switch c {
	case '\r', '\n':
		ev := event{key: keyEnter, line: string(e.line), over: e.over}
		e.remember(ev.line)
		e.set(nil)
		return ev, true
	case 'A' & 0x1f:
		e.at = 0
	case 'B' & 0x1f:
		e.at = max(e.at-1, 0)
	case 'C' & 0x1f:
		return event{key: keyInterrupt}, true
	case 'D' & 0x1f:
		if len(e.line) == 0 {
			return event{key: keyEnd}, true
		}
		e.remove(e.at, min(e.at+1, len(e.line)))
	case 'E' & 0x1f:
		e.at = len(e.line)
	case 'F' & 0x1f:
		e.at = min(e.at+1, len(e.line))
	case 'H' & 0x1f, 0x7f:
		e.remove(max(e.at-1, 0), e.at)
	case 'K' & 0x1f:
		e.remove(e.at, len(e.line))
	case 'L' & 0x1f:
		return event{key: keyClear}, true
	case 'N' & 0x1f:
		return event{key: keyBell}, !e.show(e.recall - 1)
	case 'P' & 0x1f:
		return event{key: keyBell}, !e.show(e.recall + 1)
	case 'U' & 0x1f:
		e.remove(0, e.at)
	case 'W' & 0x1f:
		e.remove(e.wordStart(), e.at)
	case 'Z' & 0x1f:
		return event{key: keySuspend}, true
	default:
		return event{key: keyBell}, true
	}
	return event{}, false
}

// insert inserts text before the cursor, as far as it fits.
func (e *editor) insert(text []rune) {
	fits, size := 0, 0
	for fits < len(text) && e.over == 0 && e.size+size+utf8.RuneLen(text[fits]) <= maxTyped {
		size += utf8.RuneLen(text[fits])
		fits++
	}
	for _, r := range text[fits:] {
		e.over += utf8.RuneLen(r)
	}
	e.line = slices.Insert(e.line, e.at, text[:fits]...)
	e.at += fits
	e.size += size
}

// remove deletes the characters from i to j.
func (e *editor) remove(i, j int) {
	for _, r := range e.line[i:j] {
		e.size -= utf8.RuneLen(r)
	}
	e.line = slices.Delete(e.line, i, j)
	if e.at = i; i < j || len(e.line) == 0 {
		e.over = 0 // the user has shortened the line
	}
}

// set replaces the line.
func (e *editor) set(line []rune) {
	e.line, e.at, e.over, e.size = line, len(line), 0, len(string(line))
}

func (e *editor) wordStart() int {
	i := e.at
	for i > 0 && unicode.IsSpace(e.line[i-1]) {
		i--
	}
	for i > 0 && !unicode.IsSpace(e.line[i-1]) {
		i--
	}
	return i
}

func (e *editor) wordEnd() int {
	i := e.at
	for i < len(e.line) && unicode.IsSpace(e.line[i]) {
		i++
	}
	for i < len(e.line) && !unicode.IsSpace(e.line[i]) {
		i++
	}
	return i
}

// remember adds a line to the history.
func (e *editor) remember(line string) {
	e.recall, e.unsent = 0, nil
	if line == "" || len(e.history) > 0 && e.history[len(e.history)-1] == line {
		return
	}
	e.history = append(e.history, line)
	size := 0
	for i := len(e.history) - 1; i >= 0; i-- {
		if size += len(e.history[i]); size > maxHistorySize || len(e.history)-i > maxHistory {
			e.history = slices.Delete(e.history, 0, i+1)
			break
		}
	}
}

// show replaces the line with the n-th line of the history, counted from the end, and reports whether that line exists. If n is 0, it
// restores the typed line.
func (e *editor) show(n int) bool {
	if n < 0 || n > len(e.history) {
		return false
	}
	if e.recall == 0 {
		e.unsent = e.line
	}
	e.recall = n
	if n == 0 {
		e.set(e.unsent)
	} else {
		e.set([]rune(e.history[len(e.history)-n]))
	}
	return true
}

// view returns the part of the line around the cursor that fits into a number of columns, and the column of the cursor in it.
func (e *editor) view(columns int) (text string, cursor int) {
	columns = max(columns, 1)
	start := e.at
	for start > 0 {
		_, w := cell(e.line[start-1])
		if cursor+w >= columns {
			break
		}
		cursor += w
		start--
	}
	var b strings.Builder
	used := 0
	for _, r := range e.line[start:] {
		s, w := cell(r)
		if used+w > columns {
			break
		}
		b.WriteString(s)
		used += w
	}
	return b.String(), cursor
}

// cell returns the displayed form of a character, and the number of its columns.
func cell(r rune) (string, int) {
	if r == '\t' {
		return " ", 1
	}
	s := visible.Text(string(r))
	if len(s) > 1 && s[0] == '\\' {
		return s, len(s)
	}
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return s, 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), r >= 0x3000 && r <= 0x303f,
		r >= 0xff01 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff: // East Asian wide (UAX #11), and emoji
		return s, 2
	}
	return s, 1
}
