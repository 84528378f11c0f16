//go:build linux

package load

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"
)

// frameOf returns a frame of a server.
func frameOf(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func newConn(t *testing.T, c Config) *conn {
	t.Helper()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	s, err := newScript(&c)
	if err != nil {
		t.Fatal(err)
	}
	return &conn{c: &c, s: s}
}

// A response is recognized regardless of how the network splits it.
func TestAnswersInPieces(t *testing.T) {
	for _, size := range []int{1, 125, 126, 1 << 10, 1<<16 - 1, 1 << 16} {
		for _, piece := range []int{1, 3, 1000, 1 << 20} {
			c := newConn(t, Config{Mode: ModeEcho, Size: size, Flight: 3})
			c.next()
			half := size / 2
			want := c.step().want[0]
			all := frameOf(fin|opPing, nil)
			all = append(all, frameOf(fin|opBinary, want)...)
			all = append(all, frameOf(opBinary, want[:half])...)
			all = append(all, frameOf(fin|opPing, []byte("there?"))...)
			all = append(all, frameOf(fin|opContinuation, want[half:])...)
			all = append(all, frameOf(fin|opBinary, want)...)
			if half == 0 { // an empty first fragment cannot be distinguished from a missing one
				all = bytes.Repeat(frameOf(fin|opBinary, want), 3)
			}
			got := 0
			for len(all) > 0 {
				n, err := c.feed(all[:min(piece, len(all))])
				if err != nil {
					t.Fatalf("size %d in pieces of %d: %v", size, piece, err)
				}
				got, all = got+n, all[min(piece, len(all)):]
			}
			if got != 3 || !c.done() {
				t.Errorf("size %d in pieces of %d: %d responses", size, piece, got)
			}
		}
	}
}

// A wrong response is an error. Otherwise, a server could be fast because its responses are wrong.
func TestWrongAnswers(t *testing.T) {
	right := newConn(t, Config{Mode: ModeEcho, Size: 300}).step().want[0]
	other := bytes.Clone(right)
	other[299]++
	for name, b := range map[string][]byte{
		"shorter":          frameOf(fin|opBinary, right[:299]),
		"longer":           frameOf(fin|opBinary, append(bytes.Clone(right), 0)),
		"other bytes":      frameOf(fin|opBinary, other),
		"a close":          frameOf(fin|opClose, nil),
		"a large ping":     frameOf(fin|opPing, make([]byte, 126)),
		"half a ping":      frameOf(opPing, nil),
		"text":             frameOf(fin|1, right),
		"compressed":       frameOf(fin|rsv1|opBinary, right),
		"a stray fragment": frameOf(fin|opContinuation, right),
		"masked":           appendFrame(nil, fin|opBinary, right),
	} {
		c := newConn(t, Config{Mode: ModeEcho, Size: 300})
		c.next()
		if n, err := c.feed(b); err == nil {
			t.Errorf("%s: %d responses and no error", name, n)
		}
	}
}

// A compressed script can be repeated forever: a client that has received the script so far can inflate the repetitions.
func TestCompressedScript(t *testing.T) {
	for _, mode := range []string{CompressEach, CompressTakeover} {
		c := newConn(t, Config{Mode: ModeEcho, Size: 1 << 10, Compress: mode})
		var history []byte
		for i := range 4 * cycle {
			out := c.next()
			zipped := bytes.Clone(out[8:])
			for k := range zipped {
				zipped[k] ^= maskKey[k&3]
			}
			r := flate.NewReaderDict(bytes.NewReader(append(zipped, flushTail+"\x01\x00\x00\xff\xff"...)), history)
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, c.step().want[0]) {
				t.Fatalf("%s, message %d: %d bytes, %v", mode, i, len(got), err)
			}
			if mode == CompressTakeover {
				history = append(history, got...)
				history = history[max(0, len(history)-32<<10):]
			}
			c.total++ // as if the response to the message had arrived
		}
	}
}

func TestHandshakeAnswers(t *testing.T) {
	const good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
	for _, tc := range []struct {
		name, compress, answer string
		lacks, fails           bool
	}{
		{name: "plain", answer: good + acceptKey + "\r\n\r\n"},
		{name: "wrong key", answer: good + "AAAA\r\n\r\n", fails: true},
		{name: "refused", answer: "HTTP/1.1 403 Forbidden\r\n\r\n", fails: true},
		{name: "declined", compress: CompressEach, answer: good + acceptKey + "\r\n\r\n", lacks: true},
		{name: "takeover", compress: CompressTakeover, answer: good + acceptKey + "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"},
		{name: "a window that is large enough", compress: CompressTakeover,
			answer: good + acceptKey + "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n\r\n"},
		{name: "a window that is too small", compress: CompressTakeover, lacks: true,
			answer: good + acceptKey + "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=11\r\n\r\n"},
		{name: "no takeover", compress: CompressTakeover, lacks: true,
			answer: good + acceptKey + "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"},
	} {
		n, err := answered(&Config{Compress: tc.compress}, []byte(tc.answer))
		if errors.Is(err, ErrNotSupported) != tc.lacks || (err != nil) != (tc.fails || tc.lacks) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err == nil && n != len(tc.answer) {
			t.Errorf("%s: %d of %d bytes", tc.name, n, len(tc.answer))
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 0: 0} {
		got := h.quantile(q)
		if got > want || got < want*95/100 {
			t.Errorf("quantile %v is %v, not about %v", q, got, want)
		}
	}
}
