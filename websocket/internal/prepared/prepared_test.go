package prepared

import (
	"bytes"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/deflate"
)

func TestFrames(t *testing.T) {
	payload := []byte(strings.Repeat("again and again, ", 40))
	var f Frames
	if f.Made() {
		t.Error("made without Init")
	}
	if f.Init(frame.Text, payload); !f.Made() {
		t.Error("not made by Init")
	}
	want := bytes.Clone(payload)
	payload[0] = 'X' // the caller may modify payload after Init
	if h, n, err := frame.Parse(f.Plain()); err != nil || n != f.Head() || h.Opcode != frame.Text || !h.Fin || h.RSV != 0 ||
		h.Masked || !bytes.Equal(f.Plain()[n:], want) || !bytes.Equal(f.Payload(), want) {
		t.Errorf("the frame has %+v, %d, %v", h, n, err)
	}
	for _, bits := range []uint8{9, 15} {
		b := f.Compressed(bits)
		h, n, err := frame.Parse(b)
		if err != nil || h.RSV != frame.RSV1 || h.Length != int64(len(b)-n) || len(b) >= len(f.Plain())/2 {
			t.Errorf("%d bits: %+v, %v, %d bytes", bits, h, err, len(b))
		}
		if again := f.Compressed(bits); &again[0] != &b[0] {
			t.Errorf("%d bits: compressed twice", bits)
		}
		in := deflate.Decompressor{Window: deflate.Window{Bits: bits}}
		if got, err := in.Append(nil, b[n:], -1); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bits: it inflates to %q, %v", bits, got, err)
		}
	}
}

func TestIncompressibleIsSentPlain(t *testing.T) {
	var f Frames
	f.Init(frame.Binary, []byte("short"))
	if b := f.Compressed(15); &b[0] != &f.Plain()[0] {
		t.Errorf("% x", b)
	}
}

// If compression does not make the message shorter, it is sent uncompressed, so that the peer need not inflate it.
func TestEqualLengthIsSentPlain(t *testing.T) {
	shorter := false
	for n := 1; n < 100 && !shorter; n++ {
		var f Frames
		f.Init(frame.Text, []byte(strings.Repeat("ab", n)))
		b := f.Compressed(15)
		if shorter = len(b) < len(f.Plain()); !shorter && &b[0] != &f.Plain()[0] {
			t.Errorf("%d bytes: % x", 2*n, b)
		}
	}
	if !shorter {
		t.Error("no message gets shorter")
	}
}
