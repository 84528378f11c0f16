package conformance

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// The peer's permessage-deflate (RFC 7692) uses the standard library's codec, which is independent of the tested library's codec.

// extension is the peer's use of permessage-deflate in the opening handshake.
type extension struct {
	offer  string // what the peer offers as a client
	answer string // what the peer accepts as a server
	allow  string // a parameter that the tested client's offer must contain to allow answer; "" means none
}

// agreement contains the negotiated parameters of permessage-deflate.
type agreement struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             int
}

// parseAgreement parses a server's Sec-WebSocket-Extensions (RFC 7692 §7.1), and checks it against the client's offer in requested. If
// the offer has alternatives, the parameters for the server are not checked.
func parseAgreement(answer, requested string) (agreement, error) {
	a := agreement{serverBits: 15, clientBits: 15}
	params := strings.Split(answer, ";")
	if strings.TrimSpace(params[0]) != "permessage-deflate" || strings.Contains(answer, ",") {
		return a, fmt.Errorf("the answer to %q is %q", requested, answer)
	}
	for _, param := range params[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		var err error
		switch name {
		case "server_no_context_takeover":
			a.serverNoTakeover = true
		case "client_no_context_takeover":
			a.clientNoTakeover = true
		case "server_max_window_bits":
			a.serverBits, err = windowBits(value)
		case "client_max_window_bits":
			a.clientBits, err = windowBits(value)
			if !strings.Contains(requested, name) {
				err = errors.New("the client has not offered it (§7.1.2.2)")
			}
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return a, fmt.Errorf("the parameter %q in the answer: %w", param, err)
		}
	}
	if strings.Contains(requested, ",") {
		return a, nil
	}
	if strings.Contains(requested, "server_no_context_takeover") && !a.serverNoTakeover {
		return a, fmt.Errorf("the answer %q passes over server_no_context_takeover (§7.1.1.1)", answer)
	}
	if _, most, ok := strings.Cut(requested, "server_max_window_bits="); ok {
		most, _, _ = strings.Cut(most, ";")
		if bits, err := windowBits(most); err != nil || a.serverBits > bits {
			return a, fmt.Errorf("the answer %q has a larger window than asked for (§7.1.2.1)", answer)
		}
	}
	return a, nil
}

func windowBits(s string) (int, error) {
	bits, err := strconv.Atoi(s)
	if err != nil || bits < 8 || bits > 15 {
		return 15, fmt.Errorf("a window of %q bits (§7.1.2)", s)
	}
	return bits, nil
}

// tail is the end of every compressed message. It is not transmitted (RFC 7692 §7.2.1).
const tail = "\x00\x00\xff\xff"

// compressor compresses the peer's messages.
type compressor struct {
	window   int
	takeover bool
	w        *flate.Writer
	buf      bytes.Buffer
}

func newCompressor(bits int, noTakeover bool) *compressor {
	s := &compressor{window: 1 << bits, takeover: !noTakeover}
	if s.w, _ = writers.Get().(*flate.Writer); s.w != nil {
		s.w.Reset(&s.buf)
		return s
	}
	s.w, _ = flate.NewWriter(&s.buf, flate.BestSpeed) // the level is valid
	return s
}

// writers is a pool of the squeezers' codecs, each of which needs a megabyte.
var writers sync.Pool

// done returns the codec to the pool.
func (s *compressor) done() {
	if s != nil {
		writers.Put(s.w)
	}
}

// compress compresses one message. The codec supports only the full window: for a smaller window, the codec is reset after each window
// of data.
func (s *compressor) compress(data []byte) []byte {
	s.buf.Reset()
	if !s.takeover || s.window < 1<<15 {
		s.w.Reset(&s.buf)
	}
	for s.window < 1<<15 && len(data) > s.window {
		_, _ = s.w.Write(data[:s.window])
		_ = s.w.Flush()
		s.w.Reset(&s.buf)
		data = data[s.window:]
	}
	_, _ = s.w.Write(data)
	_ = s.w.Flush() // a bytes.Buffer returns no errors
	return bytes.TrimSuffix(bytes.Clone(s.buf.Bytes()), []byte(tail))
}

// decompressor inflates the tested side's messages.
type decompressor struct {
	window   int
	takeover bool
	history  []byte
	r        io.ReadCloser
	messages int
	checked  int // number of bytes checked against the window
}

func newDecompressor(bits int, noTakeover bool) *decompressor {
	return &decompressor{window: 1 << bits, takeover: !noTakeover, r: flate.NewReader(nil)}
}

// checkAtMost is the number of bytes per connection that are checked against the window. The check is slow, and the rest of the data is
// similar.
const checkAtMost = 48 << 10

// inflate inflates one message, and checks that the message keeps to the negotiated window.
func (f *decompressor) inflate(data []byte) ([]byte, error) {
	f.messages++
	whole := append(data[:len(data):len(data)], tail+"\x01\x00\x00\xff\xff"...) // the codec requires a final block
	if err := f.r.(flate.Resetter).Reset(bytes.NewReader(whole), f.history); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(f.r)
	if err != nil {
		return nil, fmt.Errorf("a compressed message of %d bytes: %w", len(data), err)
	}
	if f.window < 1<<15 && f.checked < checkAtMost {
		f.checked += len(out)
		again, err := inflateWithin(whole, f.history, f.window)
		if err != nil || !bytes.Equal(again, out) {
			return nil, fmt.Errorf("a compressed message does not keep to a window of %d bytes: %w", f.window, err)
		}
	}
	if f.takeover {
		f.history = append(f.history, out...)
		if excess := len(f.history) - f.window; excess > 0 {
			f.history = append(f.history[:0], f.history[excess:]...)
		}
	}
	return out, nil
}

// compressedFrames compresses a message and returns its frames, with fragment bytes per frame; 0 means a single frame.
func (p *peer) compressedFrames(op byte, data []byte, fragment int) []frame {
	list := fragmented(op, p.zip.compress(data), fragment)
	list[0].rsv = 4
	return list
}
