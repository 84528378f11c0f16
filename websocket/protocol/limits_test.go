package protocol

import (
	"errors"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

// A limit of one is enforced: only 0 means no limit.
func TestRFC6455_10_4_SmallestLimits(t *testing.T) {
	for _, tt := range []struct {
		limits Limits
		frames []string
		code   uint16 // code of the violation; 0 means none
	}{
		{Limits{MaxMessage: 1}, []string{`binary fin masked "x"`}, 0},
		{Limits{MaxMessage: 1}, []string{`binary fin masked "xx"`}, codeTooBig},
		{Limits{MaxMessage: 1}, []string{`binary masked "x"`, `cont fin masked`}, 0},
		{Limits{MaxMessage: 1}, []string{`binary masked "x"`, `cont fin masked "x"`}, codeTooBig},
		{Limits{Fragments: 1}, []string{`binary fin masked "x"`}, 0},
		{Limits{Fragments: 1}, []string{`binary masked "x"`, `cont fin masked "x"`}, codePolicy},
		{Limits{}, []string{`binary masked "x"`, `cont fin masked "x"`}, 0},
	} {
		m := Machine{Limits: &tt.limits}
		var err error
		for _, f := range tt.frames {
			b, bad := encodeFrame(f)
			if bad != nil {
				t.Fatal(bad)
			}
			for len(b) > 0 && err == nil {
				var n int
				_, n, err = m.Step(b)
				b = b[n:]
			}
		}
		v, _ := errors.AsType[*Violation](err)
		if (v != nil) != (tt.code != 0) || v != nil && v.Code != tt.code {
			t.Errorf("%+v, %q: %v", tt.limits, tt.frames, err)
		}
	}
}

// The text of a compressed message is checked as the driver's inflater returns it.
func TestRFC6455_8_1_InflatedText(t *testing.T) {
	for _, tt := range []struct {
		name   string
		op     frame.Opcode
		pieces []string
		bad    int // index of the part that violates the rule; -1 means none
	}{
		{"whole", frame.Text, []string{"\u00e4"}, -1},
		{"a rune split between two pieces", frame.Text, []string{"a\xc3", "\xa4"}, -1},
		{"an invalid byte", frame.Text, []string{"a", "\xff", ""}, 1},
		{"an incomplete rune at the end", frame.Text, []string{"a", "\xc3"}, 1},
		{"binary", frame.Binary, []string{"\xff", "\xc3"}, -1},
	} {
		m := Machine{Compressed: true}
		b := framed(true, tt.op, "compressed")
		b[0] |= frame.RSV1
		if _, n, err := m.Step(b); n != len(b) || err != nil {
			t.Fatal(err)
		}
		for i, p := range tt.pieces {
			err := m.Inflated([]byte(p), i == len(tt.pieces)-1)
			if v, _ := errors.AsType[*Violation](err); (v != nil) != (i == tt.bad) || v != nil && v.Code != codeInvalidData {
				t.Errorf("%s, piece %d: %v", tt.name, i, err)
			}
			if err != nil {
				break
			}
		}
	}
}
