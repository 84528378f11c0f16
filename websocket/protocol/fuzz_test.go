package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// The bits of the options byte of the fuzz targets.
const (
	fuzzClient     = 1 << iota // the Machine is a client
	fuzzCompressed             // RSV1 has a meaning
	fuzzProgram                // the stream is the input of program, which makes frames from it
	fuzzLimits                 // messages and fragments are limited
	fuzzClose                  // our end starts the closing handshake at an offset
	fuzzRelay                  // the driver replies to pings and close frames
)

// fuzzSession makes a session from the fuzzer's input.
func fuzzSession(stream []byte, options byte, message uint16, fragments byte, closeAt uint16) session {
	s := session{client: options&fuzzClient != 0, compressed: options&fuzzCompressed != 0, relay: options&fuzzRelay != 0, stream: stream}
	if options&fuzzProgram != 0 {
		s.stream = program(stream, s.client)
	}
	s.stream = s.stream[:min(len(s.stream), 4096)]
	if options&fuzzLimits != 0 {
		s.limits = &Limits{MaxMessage: int64(message), Fragments: int(fragments)}
	}
	if options&fuzzClose != 0 {
		s.sends = []localClose{{min(int(closeAt), len(s.stream)), 1000, "bye"}}
	}
	return s
}

// program makes frames from p, so that the fuzzer need not discover lengths and masks. Each frame consists of two bytes, which are
// the first byte of the frame and the length of the payload, followed by the payload. If the top bit of the second byte is set, the
// payload is converted to valid UTF-8.
func program(p []byte, client bool) []byte {
	var stream []byte
	for len(p) >= 2 {
		f := wireFrame{b0: p[0], masked: !client, key: [4]byte{p[0], p[1], 0x5a, 0xa5}, declaredLength: -1}
		n := min(int(p[1]&0x7f), len(p)-2)
		f.payload = p[2 : 2+n]
		if p[1]&0x80 != 0 {
			f.payload = bytes.ToValidUTF8(f.payload, []byte("\u00e4"))
		}
		stream = append(stream, f.encode()...)
		p = p[2+n:]
	}
	return stream
}

// options returns the arguments of fuzzSession, without the stream, that result in s. The seeds of the fuzz targets use it.
func (s session) options() (options byte, message uint16, fragments byte, closeAt uint16) {
	if s.client {
		options |= fuzzClient
	}
	if s.compressed {
		options |= fuzzCompressed
	}
	if s.relay {
		options |= fuzzRelay
	}
	if s.limits != nil {
		options |= fuzzLimits
		message, fragments = uint16(s.limits.MaxMessage), byte(s.limits.Fragments)
	}
	if len(s.sends) > 0 {
		options |= fuzzClose
		closeAt = uint16(s.sends[0].at)
	}
	return options, message, fragments, closeAt
}

// cutsOf converts bytes to offsets at which to split. Small values result in short pieces, larger values in longer pieces. The sequence is
// repeated.
func cutsOf(sizes []byte, length int) []int {
	var cuts []int
	for at, i := 0, 0; len(sizes) > 0; i++ {
		size := int(sizes[i%len(sizes)])
		if size < 192 {
			size %= 16
		}
		if at += size + 1; at >= length {
			return cuts
		}
		cuts = append(cuts, at)
	}
	return cuts
}

// FuzzMachineCuts checks that the outcome does not depend on how the network splits the bytes.
func FuzzMachineCuts(f *testing.F) {
	eachTranscript(f, func(c *transcript) {
		options, message, fragments, closeAt := c.options()
		f.Add(c.stream[:min(len(c.stream), 512)], []byte{0, 5, 2}, options, message, fragments, closeAt)
	})
	f.Fuzz(func(t *testing.T, stream, sizes []byte, options byte, message uint16, fragments byte, closeAt uint16) {
		s := fuzzSession(stream, options, message, fragments, closeAt)
		whole := drive(t, s)
		cuts := cutsOf(sizes, len(s.stream))
		equivalent(t, whole, drive(t, s, cuts...), fmt.Sprint("cut at ", cuts))
		equivalent(t, whole, drive(t, s, cutsOf([]byte{0}, len(s.stream))...), "byte by byte")
	})
}

// FuzzMachineOracle checks that the outcome of a stream equals that of the oracle, a direct implementation of the RFC.
func FuzzMachineOracle(f *testing.F) {
	eachTranscript(f, func(c *transcript) {
		options, message, fragments, closeAt := c.options()
		f.Add(c.stream[:min(len(c.stream), 512)], []byte{1}, options, message, fragments, closeAt)
	})
	f.Fuzz(func(t *testing.T, stream, sizes []byte, options byte, message uint16, fragments byte, closeAt uint16) {
		s := fuzzSession(stream, options, message, fragments, closeAt)
		checkOracle(t, s, cutsOf(sizes, len(s.stream))...)
	})
}

// FuzzWhole checks, at any position of a stream, that Whole returns what Step would have returned for the same bytes, and leaves
// bytes that it does not consume unchanged.
func FuzzWhole(f *testing.F) {
	eachTranscript(f, func(c *transcript) {
		options, message, fragments, _ := c.options()
		f.Add(c.stream[:min(len(c.stream), 512)], options, message, fragments)
	})
	f.Fuzz(func(t *testing.T, stream []byte, options byte, message uint16, fragments byte) {
		s := fuzzSession(stream, options, message, fragments, 0)
		m := Machine{Client: s.client, Compressed: s.compressed, Limits: s.limits}
		for at := 0; at < min(len(s.stream), 1<<10); {
			other := m // copied before the first reply, because the copies would share the memory of replies
			b := bytes.Clone(s.stream[at:])
			p, text, n := m.Whole(b)
			if n == 0 {
				if !bytes.Equal(b, s.stream[at:]) {
					t.Fatalf("at %d: Whole used no bytes, but changed some", at)
				}
				_, n, err := m.Step(b[:min(1+int(s.stream[at]), len(b))])
				if err != nil || m.Pending() || m.controlPayload != nil {
					return // FuzzMachineOracle checks these cases
				}
				at += n
				continue
			}
			if !bytes.Equal(b[n:], s.stream[at+n:]) || cap(p) != len(p) {
				t.Fatalf("at %d: Whole used %d bytes, but changed later ones, or the payload's capacity exceeds its length", at, n)
			}
			var got []byte
			for i, c := range s.stream[at : at+n] {
				ev, used, err := other.Step([]byte{c})
				last := i == n-1
				if err != nil || used != 1 || ev.Kind != None && ev.Kind != Data || ev.Compressed || ev.Last != last || last && ev.Text != text {
					t.Fatalf("at %d, byte %d of %d: %+v, %v", at, i, n, ev, err)
				}
				got = append(got, ev.Payload...)
			}
			if !bytes.Equal(got, p) || m.Within() != other.Within() || m.InMessage() != other.InMessage() {
				t.Fatalf("at %d: %q %q, step by step %q %q", at, p, m.Within(), got, other.Within())
			}
			at += n
		}
	})
}

// writer writes messages and control frames with a Machine, and records the events that the other end must report.
type writer struct {
	t      *testing.T
	m      Machine
	text   []byte // source of the text of messages
	kind   byte   // type of the next message: bit 0 means text, bit 1 compressed
	open   []byte // the incomplete message
	out    []byte
	events []string // events that the other end must report
	pongs  []string // replies of the other end
	n      int      // number of frames so far
}

// key returns a different key for each frame.
func (w *writer) key() [4]byte {
	w.n++
	return [4]byte{byte(w.n), byte(w.n * 7), byte(w.n * 31), byte(w.n * 101)}
}

// fragment writes the next data frame with n bytes, or more if fin is set and n would end within a character.
func (w *writer) fragment(n int, fin bool) {
	w.t.Helper()
	n = min(n, len(w.text))
	for fin && n < len(w.text) && !utf8.RuneStart(w.text[n]) {
		n++
	}
	p := w.text[:n]
	w.text = w.text[n:]
	first := !w.m.fragmented
	h, err := w.m.BeginFrame(w.kind&1 != 0, w.kind&2 != 0, fin, n, w.key())
	if err != nil {
		w.t.Fatalf("BeginFrame: %v", err)
	}
	if h.Masked != w.m.Client || h.Fin != fin || (h.Opcode == frame.Continuation) == first || (h.RSV != 0) != (first && w.kind&2 != 0) {
		w.t.Fatalf("first %v, fin %v, kind %d: %+v", first, fin, w.kind, h)
	}
	w.out = frame.Append(w.out, h)
	w.out = append(w.out, p...)
	if h.Masked {
		frame.Mask(w.out[len(w.out)-n:], h.Key)
	}
	w.open = append(w.open, p...)
	if fin {
		w.events = append(w.events, "message "+kindOfMessage(w.kind&1 != 0, w.kind&2 != 0)+" "+showBytes(w.open))
		w.open = nil
	}
}

func (w *writer) ping(n int) {
	w.t.Helper()
	payload := bytes.Repeat([]byte{byte(n)}, n*5)
	out, err := w.m.AppendPing(w.out, payload, w.key)
	if err != nil {
		w.t.Fatalf("AppendPing: %v", err)
	}
	w.out = out
	payload = payload[:min(len(payload), 125)] // the excess is truncated, as documented
	w.events = append(w.events, "ping "+showBytes(payload))
	w.pongs = append(w.pongs, "pong "+showBytes(payload))
}

func (w *writer) close(code uint16) {
	w.t.Helper()
	out, err := w.m.AppendClose(w.out, code, "done", w.key)
	if err != nil {
		w.t.Fatalf("AppendClose: %v", err)
	}
	w.out = out
	w.events = append(w.events, fmt.Sprintf("close %d %q", code, "done"))
	w.pongs = append(w.pongs, fmt.Sprintf("close %d %q", code, "done"))
	if _, err := w.m.BeginFrame(true, false, true, 0, testKey); !errors.Is(err, ErrClosing) {
		w.t.Fatalf("BeginFrame after the close frame: %v", err)
	}
}

// run writes frames according to the script: each byte is one operation.
func (w *writer) run(script []byte) (closed bool) {
	w.t.Helper()
	for _, b := range script {
		n := int(b >> 3)
		switch b & 7 {
		case 0, 1:
			w.fragment(n, false)
		case 2, 3:
			w.fragment(n, true)
		case 4:
			w.fragment(n*97, n%2 == 0)
		case 5:
			w.ping(n)
		case 6:
			if !w.m.fragmented {
				w.kind = byte(n)
			}
		case 7:
			if n == 31 {
				w.close(3000)
				return true
			}
		}
	}
	if w.m.fragmented {
		w.fragment(len(w.text), true)
	}
	return false
}

// FuzzMachineRoundTrip checks that one Machine reads what another one has written, and that the replies arrive.
func FuzzMachineRoundTrip(f *testing.F) {
	f.Add([]byte{0x0a, 0x2d, 0xff}, []byte("Hello, ✓ world"), []byte{3}, byte(0))
	f.Fuzz(func(t *testing.T, script, text, sizes []byte, options byte) {
		script = script[:min(len(script), 64)]
		text = bytes.ToValidUTF8(text, []byte("\u2713"))
		client, compressed := options&fuzzClient != 0, options&fuzzCompressed != 0
		w := writer{t: t, m: Machine{Client: client, Compressed: compressed}, text: text, kind: 1}
		closed := w.run(script)
		if !compressed && slices.ContainsFunc(script, func(b byte) bool { return b&7 == 6 && b>>3&2 != 0 }) {
			return // RSV1 without the extension is a violation
		}
		there := session{client: !client, compressed: compressed, stream: w.out}
		got := drive(t, there, cutsOf(sizes, len(w.out))...)
		if got.violation != nil || !slices.Equal(got.events, w.events) {
			t.Fatalf("written %q, read %q, %v", w.events, got.events, got.violation)
		}
		back := session{client: client, compressed: compressed, stream: got.out}
		if closed {
			back.sends = []localClose{{0, 3000, "done"}}
		}
		answers := drive(t, back, cutsOf(sizes, len(got.out))...)
		if answers.violation != nil || !slices.Equal(answers.events, w.pongs) {
			t.Fatalf("the answers: want %q, got %q, %v", w.pongs, answers.events, answers.violation)
		}
		if closed == (len(answers.out) == 0) || !closed && got.position != "" {
			t.Fatalf("closed %v, answers %x, the stream ends %q", closed, answers.out, got.position)
		}
	})
}
