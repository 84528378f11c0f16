package cli

import (
	"errors"
	"strings"
	"testing"
)

func as[T error](err error, target *T) bool { return errors.As(err, target) }

// Keys are recognized regardless of how their bytes are split.
func TestEditorKeys(t *testing.T) {
	const up, down, right, left, home, end, del = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[3~"
	for keys, want := range map[string]string{
		"abc\r":                          "abc",
		"a\tb\r":                         "a\tb",
		"gr\u00fc\u00dfe \u4e16\r":       "gr\u00fc\u00dfe \u4e16",
		"abc" + left + left + "x\r":      "axbc",
		"abc" + home + "x" + end + "y\r": "xabcy",
		"abc\x01x\x05y\r":                "xabcy",
		"abc\x02\x02\x06x\r":             "abxc",
		"abc\x7f\x08d\r":                 "ad",
		"abc" + home + del + "\r":        "bc",
		"abc" + home + "\x04\r":          "bc",
		"abc" + left + "\x0b\r":          "ab",
		"abc" + left + "\x15\r":          "c",
		"one two \x17x\r":                "one x",
		"one two\x1b[1;5Dx\r":            "one xtwo",
		"a b" + home + "\x1b[1;5Cx\r":    "ax b",
		"a\x1bOHb\r":                     "ba",
		"\x1b[200~pasted\x1b[201~\r":     "pasted",
		"a\xffb\r":                       "ab",
		"a\x1b[99;99Zb\r":                "ab",
		"one\rtwo\r" + up + up + "\r":    "one|two|one",
		"one\rtw" + up + down + "o\r":    "one|two",
		"one\r\x10\x0e\x10!\r":           "one|one!",
		left + right + up + down + "\r":  "",
	} {
		for _, cut := range []int{1, 2, 3, len(keys)} {
			var e editor
			var got []string
			for rest := keys; rest != ""; {
				n := min(cut, len(rest))
				for _, ev := range e.feed([]byte(rest[:n])) {
					if ev.key == keyEnter {
						got = append(got, ev.line)
					}
				}
				rest = rest[n:]
			}
			if strings.Join(got, "|") != want {
				t.Errorf("%q in pieces of %d: %q, want %q", keys, cut, got, want)
			}
		}
	}
}

// Text that does not fit is counted, and the history is limited.
func TestEditorLimits(t *testing.T) {
	var e editor
	e.feed([]byte(strings.Repeat("x", maxTyped) + "yy"))
	if ev := e.feed([]byte("\r")); len(ev) != 1 || len(ev[0].line) != maxTyped || ev[0].over != 2 {
		t.Errorf("%d events", len(ev))
	}
	e.feed([]byte(strings.Repeat("x", maxTyped) + "y\x7fz\r"))
	if got := e.history[len(e.history)-1]; got != strings.Repeat("x", maxTyped-1)+"z" {
		t.Errorf("%d bytes, %q at the end", len(got), got[len(got)-3:])
	}
	for i := range 3 * maxHistory {
		e.feed([]byte(strings.Repeat("x", i%7+1) + "\r"))
	}
	if len(e.history) > maxHistory {
		t.Errorf("the history has %d lines", len(e.history))
	}
	e.feed([]byte("\x1b[" + strings.Repeat("1", 1000))) // an unterminated sequence
	if len(e.pending) > 64 {
		t.Errorf("%d bytes are pending", len(e.pending))
	}
}

// The visible part of the line contains the cursor, and fits.
func TestEditorView(t *testing.T) {
	for _, tt := range []struct {
		line    string
		at      int
		columns int
		text    string
		cursor  int
	}{
		{"abc", 3, 10, "abc", 3},
		{"abcdefghij", 10, 5, "ghij", 4},
		{"abcdefghij", 0, 5, "abcde", 0},
		{"\u4e16\u754c\u4e16\u754c", 4, 5, "\u4e16\u754c", 4},
		{"a\tb", 3, 10, "a b", 3},
		{"a\u202eb", 3, 10, `a\u202eb`, 8},
		{"e\u0301", 2, 10, "e\u0301", 1},
		{"abc", 3, 0, "", 0},
	} {
		e := editor{line: []rune(tt.line), at: tt.at}
		if text, cursor := e.view(tt.columns); text != tt.text || cursor != tt.cursor {
			t.Errorf("%q: %q, cursor %d; want %q, %d", tt.line, text, cursor, tt.text, tt.cursor)
		}
	}
}

func FuzzEditor(f *testing.F) {
	f.Add([]byte("abc\x1b[D\x7f\r\x1b[A\x17\x15"))
	f.Fuzz(func(t *testing.T, keys []byte) {
		var e editor
		for i := range keys {
			e.feed(keys[i : i+1])
			if e.at < 0 || e.at > len(e.line) || e.size != len(string(e.line)) {
				t.Fatalf("cursor %d in %d characters; %d bytes, counted as %d", e.at, len(e.line), len(string(e.line)), e.size)
			}
			if _, cursor := e.view(20); cursor >= 20 {
				t.Fatalf("the cursor is in column %d", cursor)
			}
		}
	})
}
