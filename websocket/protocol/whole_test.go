package protocol

import (
	"bytes"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
)

// framed returns a frame as sent by a client or a server.
func framed(client bool, op frame.Opcode, payload string) []byte {
	h := frame.Header{Fin: true, Opcode: op, Length: int64(len(payload)), Masked: client}
	if client {
		h.Key = [4]byte{1, 2, 3, 4}
	}
	return appendFrame(nil, h, []byte(payload))
}

// TestWhole checks that Whole returns what Step returns byte by byte, and leaves bytes that it does not consume unchanged.
func TestWhole(t *testing.T) {
	long := strings.Repeat("x", 65535)
	server := func() *Machine { return &Machine{Limits: &Limits{MaxMessage: 1 << 16, Fragments: 1}} }
	for _, c := range []struct {
		name string
		m    *Machine
		in   []byte
		took bool
	}{
		{"empty", server(), framed(true, frame.Text, ""), true},
		{"text", server(), framed(true, frame.Text, "\u00e4\u00f6"), true},
		{"binary", server(), framed(true, frame.Binary, "\xff\xfe"), true},
		{"125 bytes", server(), framed(true, frame.Binary, long[:125]), true},
		{"126 bytes", server(), framed(true, frame.Binary, long[:126]), true},
		{"65535 bytes", server(), framed(true, frame.Text, long), true},
		{"65536 bytes", server(), framed(true, frame.Text, long+"x"), false},
		{"from a server", &Machine{Client: true}, framed(false, frame.Text, "hello"), true},
		{"no limits", &Machine{}, framed(true, frame.Text, "hello"), true},
		{"masked by a server", &Machine{Client: true}, framed(true, frame.Text, "hello"), false},
		{"not masked by a client", server(), framed(false, frame.Text, "hello"), false},
		{"not UTF-8", server(), framed(true, frame.Text, "ab\xff"), false},
		{"an incomplete rune", server(), framed(true, frame.Text, "ab\xc3"), false},
		{"too big", &Machine{Limits: &Limits{MaxMessage: 4}}, framed(true, frame.Text, "hello"), false},
		{"a length that is not minimal", server(), []byte{0x82, 0xfe, 0, 1, 0, 0, 0, 0, 'x'}, false},
		{"a ping", server(), framed(true, frame.Ping, "hello"), false},
		{"not final", server(), append([]byte{0x01}, framed(true, frame.Text, "hello")[1:]...), false},
		{"compressed", &Machine{Compressed: true}, append([]byte{0xc1}, framed(true, frame.Text, "hello")[1:]...), false},
		{"incomplete", server(), framed(true, frame.Text, "hello")[:10], false},
		{"within a message", &Machine{inMessage: true}, framed(true, frame.Text, "hello"), false},
		{"within a frame", &Machine{inFrame: true}, framed(true, frame.Text, "hello"), false},
		{"after a part of a header", &Machine{nhead: 1}, framed(true, frame.Text, "hello"), false},
		{"after a close frame", &Machine{ended: true}, framed(true, frame.Text, "hello"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := append(bytes.Clone(c.in), "behind"...)
			if !c.took {
				b = bytes.Clone(c.in)
			}
			p, text, n := c.m.Whole(b)
			if n > 0 != c.took {
				t.Fatalf("Whole used %d of %d bytes", n, len(c.in))
			}
			if !c.took {
				if !bytes.Equal(b, c.in) {
					t.Errorf("Whole changed the bytes to % x", b)
				}
				return
			}
			other := &Machine{Client: c.m.Client, Limits: c.m.Limits}
			var want []byte
			for i := range c.in {
				ev, _, err := other.Step(c.in[i : i+1])
				want = append(want, ev.Payload...)
				if last := i == len(c.in)-1; err != nil || ev.Last != last || last && ev.Text != text {
					t.Fatalf("at byte %d: %+v, %v", i, ev, err)
				}
			}
			if n != len(c.in) || !bytes.Equal(p, want) || string(b[n:]) != "behind" {
				t.Errorf("Whole used %d of %d bytes and returned %d bytes of payload", n, len(c.in), len(p))
			}
		})
	}
}

func TestAppendMessage(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		for _, op := range []frame.Opcode{frame.Text, frame.Binary} {
			p := strings.Repeat("x", n)
			m := new(Machine)
			got, err := m.AppendMessage([]byte("before"), op == frame.Text, []byte(p), nil)
			if want := append([]byte("before"), framed(false, op, p)...); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v of %d bytes: %d, %v", op, n, len(got), err)
			}
		}
	}
	m := &Machine{closing: true}
	if _, err := m.AppendMessage(nil, true, nil, nil); err != ErrClosing {
		t.Errorf("after a close frame: %v", err)
	}
	m = &Machine{fragmented: true}
	if b, err := m.AppendMessage(nil, true, []byte("end"), nil); err != nil || b[0] != 0x80 || m.fragmented {
		t.Errorf("within a message: % x, %v", b, err)
	}
}

// §5.3: a client masks every message, with the key that the caller's function returns.
func TestAppendMessage_Client(t *testing.T) {
	key := [4]byte{1, 2, 3, 4}
	m := &Machine{Client: true}
	for _, p := range []string{"", "hello", strings.Repeat("x", 1<<16)} {
		b, err := m.AppendMessage(nil, true, []byte(p), func() [4]byte { return key })
		h, n, perr := frame.Parse(b)
		if err != nil || perr != nil || !h.Masked || h.Key != key {
			t.Fatalf("%+v, %v, %v", h, err, perr)
		}
		if frame.Mask(b[n:], key); string(b[n:]) != p {
			t.Errorf("%d bytes: the payload differs", len(p))
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("AppendMessage of a client did not panic without a key function")
		}
	}()
	m.AppendMessage(nil, true, []byte("hello"), nil)
}

func TestKindString(t *testing.T) {
	for k, want := range map[Kind]string{None: "none", Data: "data", Ping: "ping", Pong: "pong", Close: "close", Close + 1: "invalid"} {
		if got := k.String(); got != want {
			t.Errorf("%d: %q", uint8(k), got)
		}
	}
}
