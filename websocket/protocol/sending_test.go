package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// This file tests the clauses for the writing half. The transcripts test the reading half and its replies.

// frames decodes the output of a Machine with the decoder of the transcripts.
func frames(t *testing.T, b []byte) []wireFrame {
	t.Helper()
	var all []wireFrame
	for len(b) > 0 {
		f, rest, err := nextFrame(b)
		if err != nil {
			t.Fatalf("% x: %v", b, err)
		}
		all, b = append(all, f), rest
	}
	return all
}

// received passes bytes that contain one event to a Machine.
func received(t *testing.T, m *Machine, notation string) Event {
	t.Helper()
	b, err := encodeFrame(notation)
	if err != nil {
		t.Fatal(err)
	}
	ev, n, err := m.Step(b)
	if err != nil || n != len(b) {
		t.Fatalf("%s: used %d of %d bytes, %v", notation, n, len(b), err)
	}
	return ev
}

func TestRFC6455_5_1_ClientMasksEveryFrame(t *testing.T) {
	n := byte(0)
	key := func() [4]byte { n++; return [4]byte{n, n, n, n} }
	m := Machine{Client: true}
	received(t, &m, `ping fin`)
	received(t, &m, `ping fin "Hello"`)
	received(t, &m, `close fin 1000`)
	out, err := m.AppendPing(nil, nil, key)
	if err != nil {
		t.Fatal(err)
	}
	out = m.AppendOutput(out, 1<<20, key)
	for i, f := range frames(t, out) {
		if want := byte(i + 1); !f.masked || f.key != [4]byte{want, want, want, want} {
			t.Errorf("frame %d: masked %v with %v; every frame, even an empty one, must be masked with its own key", i, f.masked, f.key)
		}
	}
	h, err := (&Machine{Client: true}).BeginFrame(true, false, true, 0, testKey)
	if err != nil || !h.Masked || h.Key != testKey {
		t.Errorf("an empty data frame: %+v, %v", h, err)
	}
}

func TestRFC6455_5_1_ServerMasksNoFrame(t *testing.T) {
	noKey := func() [4]byte { t.Error("a server asked for a masking key"); return testKey }
	m := Machine{}
	h, err := m.BeginFrame(true, false, true, 5, testKey)
	if err != nil || h.Masked || h.Key != [4]byte{} {
		t.Errorf("%+v, %v", h, err)
	}
	received(t, &m, `ping fin masked "Hello"`)
	out, err := m.AppendPing(nil, []byte("p"), noKey)
	if err != nil {
		t.Fatal(err)
	}
	out = m.AppendOutput(out, 1<<20, noKey)
	if out, err = m.AppendClose(out, 1000, "bye", noKey); err != nil {
		t.Fatal(err)
	}
	if want := "8901" + "70" + "8a05" + "48656c6c6f" + "8805" + "03e8627965"; fmt.Sprintf("%x", out) != want {
		t.Errorf("got %x, want %s", out, want)
	}
}

// §5.4: every frame but the first is a continuation, and every frame but the last has FIN clear.
func TestRFC6455_5_4_Fragments(t *testing.T) {
	type begin struct {
		text, compressed, fin bool
		want                  frame.Header
	}
	const T, B, C = frame.Text, frame.Binary, frame.Continuation
	for _, tt := range []struct {
		name   string
		frames []begin
	}{
		{"a text in one frame", []begin{{true, false, true, frame.Header{Fin: true, Opcode: T}}}},
		{"a binary in one frame", []begin{{false, false, true, frame.Header{Fin: true, Opcode: B}}}},
		{"three fragments, then another message", []begin{
			{true, false, false, frame.Header{Opcode: T}},
			{true, false, false, frame.Header{Opcode: C}},
			{true, false, true, frame.Header{Fin: true, Opcode: C}},
			{false, false, true, frame.Header{Fin: true, Opcode: B}},
		}},
		{"RFC 7692 §6.1: RSV1 on the first fragment alone", []begin{
			{false, true, false, frame.Header{Opcode: B, RSV: frame.RSV1}},
			{false, true, false, frame.Header{Opcode: C}},
			{false, true, true, frame.Header{Fin: true, Opcode: C}},
			{true, true, true, frame.Header{Fin: true, Opcode: T, RSV: frame.RSV1}},
			{true, false, true, frame.Header{Fin: true, Opcode: T}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Machine{Compressed: true}
			for i, f := range tt.frames {
				f.want.Length = int64(i)
				h, err := m.BeginFrame(f.text, f.compressed, f.fin, i, testKey)
				if err != nil || h != f.want {
					t.Fatalf("frame %d: %+v, %v; want %+v", i, h, err, f.want)
				}
			}
		})
	}
}

// §5.4: "Control frames MAY be injected in the middle of a fragmented message": they leave the message unchanged.
func TestRFC6455_5_4_ControlFramesInsideOurMessage(t *testing.T) {
	m := Machine{}
	if _, err := m.BeginFrame(true, false, false, 1, testKey); err != nil {
		t.Fatal(err)
	}
	received(t, &m, `ping fin masked "p"`)
	out, err := m.AppendPing(nil, nil, useTestKey)
	if out = m.AppendOutput(out, 1<<20, useTestKey); err != nil || len(frames(t, out)) != 2 {
		t.Fatalf("%x, %v", out, err)
	}
	h, err := m.BeginFrame(true, false, true, 1, testKey)
	if err != nil || h.Opcode != frame.Continuation {
		t.Errorf("the message goes on with %+v, %v", h, err)
	}
}

func TestRFC6455_5_5_PingIsTruncatedTo125Bytes(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 1000} {
		for _, client := range []bool{false, true} {
			payload := bytes.Repeat([]byte{'x'}, n)
			m := Machine{Client: client}
			out, err := m.AppendPing([]byte("dst"), payload, useTestKey)
			if err != nil || !bytes.HasPrefix(out, []byte("dst")) {
				t.Fatalf("%q, %v", out, err)
			}
			f := frames(t, out[3:])
			if len(f) != 1 || f[0].b0 != 0x89 || !bytes.Equal(f[0].payload, payload[:min(n, 125)]) {
				t.Errorf("a ping of %d bytes: %+v", n, f)
			}
			if i := slices.IndexFunc(payload, func(c byte) bool { return c != 'x' }); i >= 0 {
				t.Error("AppendPing masked the caller's payload")
			}
		}
	}
}

// §5.5.1: nothing follows our close frame, whichever side began.
func TestRFC6455_5_5_1_NothingAfterClose(t *testing.T) {
	for _, tt := range []struct {
		name  string
		close func(t *testing.T, m *Machine)
	}{
		{"we began", func(t *testing.T, m *Machine) {
			if _, err := m.AppendClose(nil, 1000, "", useTestKey); err != nil {
				t.Fatal(err)
			}
		}},
		{"the peer began", func(t *testing.T, m *Machine) {
			received(t, m, `close fin masked 1000`)
			m.AppendOutput(nil, 0, useTestKey)
		}},
		{"the peer broke a rule", func(t *testing.T, m *Machine) {
			if _, _, err := m.Step([]byte{0x81, 0x00}); err == nil {
				t.Fatal("an unmasked frame was accepted")
			}
			m.AppendOutput(nil, 0, useTestKey)
		}},
		{"the driver found a broken rule", func(t *testing.T, m *Machine) {
			if err := m.Fail(violation("§10.4", codePolicy, "too fast")); err == nil {
				t.Fatal("Fail returned nil")
			}
			m.AppendOutput(nil, 0, useTestKey)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Machine{}
			received(t, &m, `ping fin masked "before"`)
			m.AppendOutput(nil, 1<<20, useTestKey)
			if m.Closing() {
				t.Error("closing before the close frame")
			}
			tt.close(t, &m)
			if !m.Closing() {
				t.Error("not closing after the close frame")
			}
			dst := []byte("dst")
			if _, err := m.BeginFrame(true, false, true, 1, testKey); !errors.Is(err, ErrClosing) {
				t.Errorf("BeginFrame: %v", err)
			}
			if out, err := m.AppendPing(dst, nil, useTestKey); !errors.Is(err, ErrClosing) || string(out) != "dst" {
				t.Errorf("AppendPing: %q, %v", out, err)
			}
			if out, err := m.AppendClose(dst, 1000, "", useTestKey); !errors.Is(err, ErrClosing) || string(out) != "dst" {
				t.Errorf("AppendClose: %q, %v", out, err)
			}
			if out := m.AppendOutput(dst, 1<<20, useTestKey); string(out) != "dst" {
				t.Errorf("AppendOutput: %q", out)
			}
		})
	}
}

// One of our messages that is interrupted by a close frame is not continued. The frames before the close frame remain valid.
func TestRFC6455_5_5_1_CloseInsideOurMessage(t *testing.T) {
	m := Machine{Client: true}
	if _, err := m.BeginFrame(false, false, false, 3, testKey); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AppendClose(nil, 1001, "", useTestKey); err != nil {
		t.Fatal(err)
	}
	if _, err := m.BeginFrame(false, false, true, 0, testKey); !errors.Is(err, ErrClosing) {
		t.Errorf("the last fragment after the close frame: %v", err)
	}
}

// Our close frame replaces a pending reply to the peer's close frame, because the reply would be a second close frame. The pong is still
// sent (§5.5.2).
func TestRFC6455_5_5_1_OneCloseFrame(t *testing.T) {
	m := Machine{}
	received(t, &m, `ping fin masked "p"`)
	received(t, &m, `close fin masked 4000`)
	if !m.Pending() {
		t.Error("nothing pending")
	}
	out, err := m.AppendClose(nil, 1000, "", useTestKey)
	if err != nil {
		t.Fatal(err)
	}
	out = m.AppendOutput(out, 1<<20, useTestKey)
	if want := "880203e8" + "8a0170"; fmt.Sprintf("%x", out) != want || m.Pending() {
		t.Errorf("got %x, want %s; pending %v", out, want, m.Pending())
	}
}

func TestRFC6455_5_5_1_ReasonIsTruncatedAtARune(t *testing.T) {
	for _, tt := range []struct {
		name, reason, want string
	}{
		{"empty", "", ""},
		{"short", "bye", "bye"},
		{"123 bytes fit", strings.Repeat("x", 123), strings.Repeat("x", 123)},
		{"124 bytes do not", strings.Repeat("x", 124), strings.Repeat("x", 123)},
		{"two-byte runes", strings.Repeat("ä", 62), strings.Repeat("ä", 61)},
		{"three-byte runes fit", strings.Repeat("✓", 41), strings.Repeat("✓", 41)},
		{"three-byte runes", "x" + strings.Repeat("✓", 41), "x" + strings.Repeat("✓", 40)},
		{"four-byte runes", strings.Repeat("😀", 31), strings.Repeat("😀", 30)},
		{"a four-byte rune of which one byte fits", strings.Repeat("x", 122) + "😀", strings.Repeat("x", 122)},
		{"a four-byte rune of which three bytes fit", strings.Repeat("x", 120) + "😀", strings.Repeat("x", 120)},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
		{"not UTF-8, and longer after replacement", strings.Repeat("a\xff", 100), strings.Repeat("a\uFFFD", 30) + "a"},
		{"cut inside a character by the caller", "caf\xc3", "caf\uFFFD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Machine{}
			out, err := m.AppendClose(nil, 1000, tt.reason, useTestKey)
			if err != nil {
				t.Fatal(err)
			}
			f := frames(t, out)
			if len(f) != 1 || f[0].b0 != 0x88 || len(f[0].payload) > 125 || !utf8.Valid(f[0].payload[2:]) {
				t.Fatalf("%+v", f)
			}
			if got := string(f[0].payload[2:]); got != tt.want {
				t.Errorf("the reason is %q, want %q", got, tt.want)
			}
		})
	}
}

// §7.4.1: 1005, 1006 and 1015 "MUST NOT be set as a status code in a Close control frame by an endpoint"; §7.4.2: 0 to 999 are not used,
// and the rest of 1000 to 2999 is reserved. The same codes are rejected in a received close frame.
func TestRFC6455_7_4_CodesOnTheWire(t *testing.T) {
	ranges := [][2]uint16{{1000, 1003}, {1007, 1014}, {3000, 4999}}
	for n := range 1 << 16 {
		code := uint16(n)
		want := slices.ContainsFunc(ranges, func(r [2]uint16) bool { return code >= r[0] && code <= r[1] })
		if CodeOnWire(code) != want {
			t.Fatalf("CodeOnWire(%d) = %v", code, !want)
		}
		m := Machine{}
		out, err := m.AppendClose(nil, code, "", useTestKey)
		switch {
		case code == 1005:
			// 1005 means a close frame without a body, which may be sent.
			if err != nil || !bytes.Equal(out, []byte{0x88, 0}) {
				t.Fatalf("AppendClose(1005): %x, %v", out, err)
			}
		case want:
			if err != nil || !bytes.Equal(out, []byte{0x88, 2, byte(code >> 8), byte(code)}) {
				t.Fatalf("AppendClose(%d): %x, %v", code, out, err)
			}
		case !errors.Is(err, ErrCode) || len(out) != 0 || m.Closing():
			t.Fatalf("AppendClose(%d): %x, %v, closing %v", code, out, err, m.Closing())
		}
		f := wireFrame{b0: 0x88, masked: true, declaredLength: -1, payload: []byte{byte(code >> 8), byte(code)}}
		m = Machine{}
		ev, _, err := m.Step(f.encode())
		if (err == nil) != want || want && ev.Code != code {
			t.Fatalf("received a close frame with code %d: %+v, %v", code, ev, err)
		}
	}
}

// §5.5.3: if not every ping can be answered, the most recent pings are answered. The memory for a peer's pings is bounded.
func TestRFC6455_5_5_3_OldestPongsAreOmitted(t *testing.T) {
	for _, client := range []bool{false, true} {
		size, mask := 2, ""
		if client {
			size = 6
		} else {
			mask = "masked "
		}
		for _, tt := range []struct {
			name string
			dst  int // number of bytes already queued
			room int
			want []string
		}{
			{"no room", 0, 0, nil},
			{"room for less than one", 0, size, nil},
			{"room for one", 0, size + 1, []string{"3"}},
			{"room for two", 0, 2 * (size + 1), []string{"2", "3"}},
			{"room for nearly three", 0, 3*(size+1) - 1, []string{"2", "3"}},
			{"room for all", 0, 3 * (size + 1), []string{"1", "2", "3"}},
			{"dst counts", 10, 10 + size + 1, []string{"3"}},
			{"dst is over", 10, 5, nil},
		} {
			t.Run(fmt.Sprintf("client %v, %s", client, tt.name), func(t *testing.T) {
				m := Machine{Client: client}
				for _, p := range []string{"1", "2", "3"} {
					received(t, &m, fmt.Sprintf("ping fin %s%q", mask, p))
				}
				out := m.AppendOutput(make([]byte, tt.dst), tt.room, useTestKey)
				var got []string
				for _, f := range frames(t, out[tt.dst:]) {
					got = append(got, string(f.payload))
				}
				if !slices.Equal(got, tt.want) || m.Pending() {
					t.Errorf("pongs %q, want %q; pending %v", got, tt.want, m.Pending())
				}
			})
		}
	}
}

// A close frame is never omitted: it is sent after any queued data.
func TestRFC6455_5_5_1_CloseIsNeverOmitted(t *testing.T) {
	m := Machine{}
	received(t, &m, `ping fin masked "left out"`)
	received(t, &m, `close fin masked 1000`)
	out := m.AppendOutput(nil, 0, useTestKey)
	if want := "880203e8"; fmt.Sprintf("%x", out) != want {
		t.Errorf("got %x, want %s", out, want)
	}
}

// The Machine stores a copy of a ping's payload: the driver may reuse its buffer before the pong is sent.
func TestRFC6455_5_5_3_PongOutlivesTheBuffer(t *testing.T) {
	b, err := encodeFrame(`ping fin "Hello"`)
	if err != nil {
		t.Fatal(err)
	}
	m := Machine{Client: true}
	if _, _, err := m.Step(b); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if f := frames(t, m.AppendOutput(nil, 1<<20, useTestKey)); len(f) != 1 || string(f[0].payload) != "Hello" {
		t.Errorf("%+v", f)
	}
}

// §7.1.7: a violation that the driver detects fails the connection like one that the Machine detects, even inside a frame. The
// first violation is kept.
func TestRFC6455_7_1_7_Fail(t *testing.T) {
	m := Machine{}
	if ev, _, err := m.Step([]byte{0x89, 0x85, 0, 0, 0, 0, 'H', 'e'}); ev.Kind != None || err != nil {
		t.Fatalf("the start of a ping: %+v, %v", ev, err)
	}
	first, second := violation("§10.4", codePolicy, "pings too often"), violation("§8.1", codeInvalidData, "later")
	if err := m.Fail(first); !errors.Is(err, first) {
		t.Errorf("Fail returned %v", err)
	}
	if err := m.Fail(second); err == nil {
		t.Error("a second Fail returned nil")
	}
	if _, n, err := m.Step([]byte{1, 2, 3}); n != 3 || !errors.Is(err, first) {
		t.Errorf("Step used %d of 3 bytes and returned %v", n, err)
	}
	if f := frames(t, m.AppendOutput(nil, 1<<20, useTestKey)); len(f) != 1 || string(f[0].payload) != "\x03\xf0pings too often" {
		t.Errorf("%+v", f)
	}
	if !m.Ended() || m.controlPayload != nil {
		t.Errorf("ended %v, and the ping's %d bytes are kept", m.Ended(), len(m.controlPayload))
	}
	if got := first.Error(); got != "pings too often (RFC 6455 §10.4)" {
		t.Errorf("Error() = %q", got)
	}
}
