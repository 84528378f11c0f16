package proxy

import (
	"bytes"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

// The result of a flow does not depend on how its bytes are split, or when the close frame is requested.
func FuzzFlow(f *testing.F) {
	text := frameOf(frame.Text, true, []byte("hello"))
	f.Add(append(bytes.Clone(text), text...), uint16(3), uint8(2))
	f.Add(append(bytes.Clone(text), closeFrameOfPeer(true, 1000, "bye")...), uint16(40), uint8(1))
	f.Add(frameOf(frame.Binary, false, make([]byte, 300)), uint16(0), uint8(7))
	f.Add([]byte{0x82, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2}, uint16(1), uint8(1))
	f.Add([]byte{0x88, 0x7e, 0, 200, 1}, uint16(5), uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, at uint16, step uint8) {
		shutAt := min(int(at), len(stream))
		bye := closeFrameOfPeer(false, 1012, "restart")
		var fl flow
		var out []byte
		put := 0
		frames := func(b []byte) {
			if b != nil {
				put++
				out = append(out, b...)
			}
		}
		for pos := 0; ; {
			if pos == shutAt {
				fl.ensureEnd().frame = bye
				if fl.due() {
					frames(fl.insert())
				}
			}
			if pos == len(stream) {
				break
			}
			end := min(pos+1+int(step), len(stream))
			if pos < shutAt {
				end = min(end, shutAt)
			}
			through, in := fl.pass(stream[pos:end])
			if put > 0 && len(through) > 0 || len(in) > 0 && put > 0 {
				t.Fatalf("got %q and %q after the close frame, want nothing", through, in)
			}
			if !bytes.HasPrefix(stream[pos:end], through) {
				t.Fatalf("got %q for %q, want a prefix of it", through, stream[pos:end])
			}
			out = append(out, through...)
			frames(in)
			pos = end
		}
		if int(fl.bytes) != len(stream) {
			t.Fatalf("got a count of %d bytes, want %d", fl.bytes, len(stream))
		}
		want, lost := expectedFlow(stream, shutAt, bye)
		if lost && len(out) >= shutAt && bytes.HasPrefix(want, out) { // how many bytes of the invalid header have passed depends on the split
			return
		}
		if !bytes.Equal(out, want) {
			t.Fatalf("stream %q, close frame at %d: got %q, want %q", stream, shutAt, out, want)
		}
	})
}

// expectedFlow returns the result for a stream, computed frame by frame, and whether the frame boundaries are lost.
func expectedFlow(stream []byte, shutAt int, bye []byte) (out []byte, lost bool) {
	for at := 0; ; {
		if at >= shutAt {
			return append(bytes.Clone(stream[:at]), bye...), false
		}
		h, n, err := frame.Parse(stream[at:])
		switch {
		case err != nil:
			return stream[:max(shutAt, min(at+frame.MaxHeader, len(stream)))], true
		case n == 0 || h.Length > int64(len(stream)-at-n): // the stream ends within a frame
			return stream, false
		}
		if at += n + int(h.Length); isClose(h) { // nothing is inserted after a close frame, and later data is discarded
			return stream[:max(at, shutAt)], false
		}
	}
}

func TestRFC6455_5_5_1_FlowCloseFrame(t *testing.T) {
	for name, tt := range map[string]struct {
		stream []byte
		closed bool
		code   websocket.Code
		reason string
	}{
		"code and reason":     {closeFrameOfPeer(true, 4001, "bye"), true, 4001, "bye"},
		"unmasked":            {closeFrameOfPeer(false, 1000, ""), true, 1000, ""},
		"without a code":      {frameOf(frame.Close, true, nil), true, websocket.CodeNoStatus, ""},
		"half a code":         {frameOf(frame.Close, true, []byte{3}), true, websocket.CodeNoStatus, ""},
		"a code never sent":   {closeFrameOfPeer(true, 1006, "x"), true, websocket.CodeNoStatus, ""},
		"a reason not UTF-8":  {closeFrameOfPeer(true, 1000, "\xff"), true, websocket.CodeNoStatus, ""},
		"behind others":       {append(frameOf(frame.Ping, true, []byte("abc")), closeFrameOfPeer(true, 1001, "")...), true, 1001, ""},
		"too long":            {frameOf(frame.Close, true, make([]byte, 126)), false, 0, ""},
		"a fragment":          {append([]byte{0x08, 0x82, 0, 0, 0, 0}, 3, 0xe8), false, 0, ""},
		"a reserved bit":      {append([]byte{0xc8, 0x82, 0, 0, 0, 0}, 3, 0xe8), false, 0, ""},
		"cut":                 {closeFrameOfPeer(true, 1000, "bye")[:8], false, 0, ""},
		"bytes of no payload": {frameOf(frame.Text, true, closeFrameOfPeer(false, 1000, "")), false, 0, ""},
	} {
		for step := 1; step <= len(tt.stream); step++ {
			var f flow
			for b := tt.stream; len(b) > 0; b = b[min(step, len(b)):] {
				if through, put := f.pass(b[:min(step, len(b))]); len(through) != min(step, len(b)) || put != nil {
					t.Fatalf("%s: got %q and %q, want the bytes unchanged", name, through, put)
				}
			}
			if f.closed != tt.closed {
				t.Fatalf("%s, %d bytes at a time: got closed %v, want %v", name, step, f.closed, tt.closed)
			}
			if code, reason := f.reason(); tt.closed && (code != tt.code || reason != tt.reason) {
				t.Errorf("%s, %d bytes at a time: got %v %q, want %v %q", name, step, code, reason, tt.code, tt.reason)
			}
		}
	}
}
