package utf8x

import (
	"os"
	"testing"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// texts are valid and invalid UTF-8. bad is the offset of the first byte that no UTF-8 text can contain there, or -1 if there is
// none.
var texts = []struct {
	name string
	text string
	bad  int
	open bool // ends inside a rune
}{
	{"empty", "", -1, false},
	{"ascii", "Hello, world", -1, false},
	{"two bytes", "Grüße", -1, false},
	{"three bytes", "κόσμε ✓", -1, false},
	{"four bytes", "a\U0001F600b", -1, false},
	{"the replacement character in the input", "a\uFFFDb", -1, false},
	{"last code point", "\U0010FFFF", -1, false},
	{"cut after one of four", "a\xf0", -1, true},
	{"cut after three of four", "a\xf0\x9f\x98", -1, true},
	{"continuation alone", "a\x80", 1, false},
	{"never a byte: c0", "ab\xc0\x80", 2, false},
	{"never a byte: f5", "ab\xf5", 2, false},
	{"never a byte: ff", "\xff", 0, false},
	{"overlong three", "x\xe0\x9f\x80", 2, false},
	{"overlong four", "x\xf0\x8f\x80\x80", 2, false},
	{"surrogate", "\xed\xa0\x80", 1, false},
	{"past the last code point", "\xce\xba\xf4\x90\x80\x80", 3, false},
	{"lead where a continuation belongs", "\xe2\x82A", 2, false},
}

func TestWriteFailsAtTheFirstBadByte(t *testing.T) {
	for _, tt := range texts {
		t.Run(tt.name, func(t *testing.T) {
			var v Validator
			for i := range len(tt.text) {
				ok := v.Write([]byte(tt.text[i : i+1]))
				if want := i != tt.bad; ok != want {
					t.Fatalf("byte %d: Write returned %v, want %v", i, ok, want)
				}
				if !ok {
					return
				}
			}
			if v.Complete() == tt.open {
				t.Errorf("Complete() = %v, want %v", v.Complete(), !tt.open)
			}
		})
	}
}

func TestEverySplitGivesTheSameResult(t *testing.T) {
	for _, tt := range texts {
		for i := range len(tt.text) + 1 {
			for j := i; j <= len(tt.text); j++ {
				var v Validator
				ok := v.Write([]byte(tt.text[:i])) && v.Write([]byte(tt.text[i:j])) && v.Write([]byte(tt.text[j:]))
				if want := tt.bad < 0; ok != want {
					t.Errorf("%s cut at %d and %d: %v, want %v", tt.name, i, j, ok, want)
				}
				if ok && v.Complete() != utf8.ValidString(tt.text) {
					t.Errorf("%s cut at %d and %d: Complete() = %v", tt.name, i, j, v.Complete())
				}
			}
		}
	}
}

func TestResetDiscardsAnIncompleteRune(t *testing.T) {
	var v Validator
	if !v.Write([]byte("a\xc3")) || v.Complete() {
		t.Fatal("an incomplete first text is invalid, or counts as complete")
	}
	if v.Reset(); !v.Complete() || !v.Write([]byte("b")) || !v.Complete() {
		t.Error("the incomplete rune of the first text affects the next one")
	}
}

func FuzzValidator(f *testing.F) {
	for _, tt := range texts {
		f.Add([]byte(tt.text), 1, 2)
	}
	f.Fuzz(func(t *testing.T, text []byte, i, j int) {
		i = min(max(i, 0), len(text))
		j = min(max(j, i), len(text))
		var v Validator
		got := v.Write(text[:i]) && v.Write(text[i:j]) && v.Write(text[j:]) && v.Complete()
		if want := utf8.Valid(text); got != want {
			t.Errorf("%q cut at %d and %d: %v, want %v", text, i, j, got, want)
		}
	})
}
