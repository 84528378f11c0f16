package protocol

import (
	"bytes"
	"testing"
)

// TestStep_Joins checks that consecutive complete fragments are joined into one event, up to a frame that Step must
// process separately.
func TestStep_Joins(t *testing.T) {
	limits := &Limits{MaxMessage: 10, Fragments: 4}
	for _, c := range []struct {
		name   string
		m      Machine
		joined []string // the frames of the first event
		behind []string // the remaining frames, unchanged
		want   string
		last   bool
	}{
		{"a whole message", Machine{}, []string{`text masked "ab"`, `cont masked "c"`, `cont fin masked "de"`}, nil, "abcde", true},
		{"from a server", Machine{Client: true}, []string{`binary "abcd"`, `cont fin "efgh"`}, nil, "abcdefgh", true},
		{"more than one message", Machine{}, []string{`text masked "a"`, `cont fin masked "b"`}, []string{`text masked "c"`}, "ab", true},
		{"not the last", Machine{}, []string{`text masked "a"`, `cont masked "b"`}, nil, "ab", false},
		{"empty ones", Machine{}, []string{`text masked "a"`, `cont masked`, `cont fin masked`}, nil, "a", true},
		{"longer ones", Machine{}, []string{`binary masked "x"*200`, `cont fin masked "x"*60000`}, nil, string(bytes.Repeat([]byte("x"), 60200)), true},
		{"a split rune", Machine{}, []string{`text masked x:e29c`, `cont fin masked x:93`}, nil, "\u2713", true},
		{"compressed", Machine{Compressed: true}, []string{`text masked rsv1 x:f248`, `cont fin masked x:cdc9c90700`}, nil,
			"\xf2\x48\xcd\xc9\xc9\x07\x00", true},
		{"up to a control frame", Machine{}, []string{`text masked "abc"`, `cont masked "d"`}, []string{`ping masked "p"`, `cont fin masked "e"`}, "abcd", false},
		{"up to an incomplete frame", Machine{}, []string{`text masked "abc"`}, []string{`cont fin masked declares=60 "defghi"`}, "abc", false},
		{"up to the maximum number of fragments", Machine{Limits: limits},
			[]string{`text masked "a"`, `cont masked "b"`, `cont masked "c"`, `cont masked "d"`}, []string{`cont fin masked "e"`}, "abcd", false},
		{"up to the maximum size", Machine{Limits: limits}, []string{`text masked "abcdef"`}, []string{`cont fin masked "ghijk"`}, "abcdef", false},
		{"up to another message", Machine{}, []string{`text masked "abc"`}, []string{`text fin masked "def"`}, "abc", false},
		{"up to a reserved bit", Machine{}, []string{`text masked "abc"`}, []string{`cont fin rsv1 masked "def"`}, "abc", false},
		{"up to a frame without a mask", Machine{}, []string{`text masked "abc"`}, []string{`cont fin "defghij"`}, "abc", false},
		{"up to a length that is not minimal", Machine{}, []string{`text masked "abc"`}, []string{`cont fin masked len16 "def"`}, "abc", false},
		{"up to bytes that are not UTF-8", Machine{}, []string{`text masked "abc"`}, []string{`cont masked "de" x:ff`, `cont fin masked "f"`}, "abc", false},
		{"up to an incomplete rune", Machine{}, []string{`text masked "abc" x:e2`}, []string{`cont fin masked x:9c`}, "abc\xe2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			joined, behind := encodeAll(t, c.joined), encodeAll(t, c.behind)
			b := append(bytes.Clone(joined), behind...)
			ev, n, err := c.m.Step(b)
			if err != nil || n != len(joined) || ev.Kind != Data || !ev.First || ev.Last != c.last || string(ev.Payload) != c.want {
				t.Errorf("%+v, %d of %d bytes, %v", ev, n, len(joined), err)
			}
			if !bytes.Equal(b[len(joined):], behind) {
				t.Errorf("Step changed the bytes after them to % x", b[len(joined):])
			}
			if c.m.InMessage() == c.last || c.m.Left() != 0 {
				t.Errorf("in a message: %t, with %d bytes to come", c.m.InMessage(), c.m.Left())
			}
		})
	}
}

func encodeAll(t *testing.T, frames []string) (b []byte) {
	t.Helper()
	for _, f := range frames {
		one, err := encodeFrame(f)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, one...)
	}
	return b
}
