package explain

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

const (
	keepPayload = 1 << 20 // bytes of a payload, and of a message, that are kept
	readChunk   = 16 << 10
)

// broken is a rule of RFC 6455 §5 that the server's frames break.
type broken struct {
	fault  Fault
	clause string
	detail string
}

func (b *broken) Error() string { return b.detail + " (" + b.clause + ")" }

// inbound reads the server's frames and holds them against the rules. A wait that a deadline ends loses nothing: the next
// call goes on in the same place.
type inbound struct {
	conn     net.Conn
	buf      []byte
	inflater *inflater // nil: no compression was agreed on
	frames   int       // that came whole

	head *frame.Header // of the frame that is being read
	kept []byte        // of its payload
	left int64         // bytes of its payload that have not come
	text textCheck     // of the message

	open       bool // a message has begun
	opcode     frame.Opcode
	compressed bool
	message    []byte // what has come of it, as far as it is kept
	size       int64  // what has come of it
}

// incoming is a frame that came.
type incoming struct {
	frame.Header
	payload []byte // unmasked; at most keepPayload bytes
	// done says that the frame ends a message. message is its start then, inflated, and size all of its bytes.
	done       bool
	compressed bool
	message    []byte
	size       int64
}

// next returns the next frame. The error is a *broken, or the connection's. A frame that breaks a rule comes with it, as
// far as it is known.
func (in *inbound) next(deadline time.Time) (*incoming, error) {
	in.conn.SetReadDeadline(deadline)
	for in.head == nil {
		h, n, err := frame.Parse(in.buf)
		switch {
		case err != nil:
			if rule := in.check(h); rule != nil {
				return &incoming{Header: h}, rule
			}
			return &incoming{Header: h}, &broken{FaultFrame, "RFC 6455 §5.2", "a payload's length is not encoded as it must be"}
		case n > 0:
			in.buf = in.buf[n:]
			in.head, in.left, in.kept = &h, h.Length, nil
			if err := in.check(h); err != nil {
				return &incoming{Header: h, payload: in.glimpse()}, err
			}
		default:
			if len(in.buf) > 0 && in.frames == 0 && in.looksLikeText() {
				return &incoming{}, in.garbage()
			}
			if err := in.fill(); err != nil {
				return nil, err
			}
		}
	}
	for in.left > 0 {
		if len(in.buf) == 0 {
			if err := in.fill(); err != nil {
				return nil, err
			}
			continue
		}
		n := int(min(in.left, int64(len(in.buf))))
		if room := keepPayload - len(in.kept); room > 0 {
			in.kept = append(in.kept, in.buf[:min(n, room)]...)
		}
		in.buf = in.buf[n:]
		in.left -= int64(n)
	}
	return in.whole()
}

// fill reads once.
func (in *inbound) fill() error {
	chunk := make([]byte, readChunk)
	n, err := in.conn.Read(chunk)
	in.buf = append(in.buf, chunk[:n]...)
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// check holds a header against the rules.
func (in *inbound) check(h frame.Header) error {
	if in.frames == 0 && (h.RSV&(frame.RSV2|frame.RSV3) != 0 || h.Opcode.Reserved() || in.looksLikeText()) {
		return in.garbage()
	}
	switch {
	case h.Masked: // RFC 6455 §5.1: "A client MUST close a connection if it detects a masked frame"
		return &broken{FaultMasked, "RFC 6455 §5.1", "a frame of the server is masked"}
	case h.RSV&(frame.RSV2|frame.RSV3) != 0:
		return &broken{FaultFrame, "RFC 6455 §5.2", "a reserved bit is set, and no extension gives it a meaning"}
	case h.Opcode.Reserved():
		return &broken{FaultFrame, "RFC 6455 §5.2", fmt.Sprintf("opcode %#x has no meaning", uint8(h.Opcode))}
	case h.RSV&frame.RSV1 != 0 && in.inflater == nil:
		return &broken{FaultFrame, "RFC 6455 §5.2", "the bit for compression (RSV1) is set, and no compression was agreed on"}
	case h.RSV&frame.RSV1 != 0 && (h.Opcode.Control() || h.Opcode == frame.Continuation):
		return &broken{FaultFrame, "RFC 7692 §6.1", "the bit for compression (RSV1) is set on a frame that begins no message"}
	case h.Opcode.Control() && !h.Fin:
		return &broken{FaultFrame, "RFC 6455 §5.5", "a control frame is fragmented"}
	case h.Opcode.Control() && h.Length > frame.MaxControlPayload:
		return &broken{FaultFrame, "RFC 6455 §5.5", "a control frame has more than 125 bytes"}
	case h.Opcode == frame.Continuation && !in.open:
		return &broken{FaultFrame, "RFC 6455 §5.4", "a continuation comes, and there is nothing to continue"}
	case !h.Opcode.Control() && h.Opcode != frame.Continuation && in.open:
		return &broken{FaultFrame, "RFC 6455 §5.4", "a message begins before the one before it has ended"}
	}
	return nil
}

// garbage says that what follows the handshake are no frames at all.
func (in *inbound) garbage() error {
	return &broken{FaultGarbage, "RFC 6455 §5.2", "what follows the 101 are no frames"}
}

// looksLikeText reports whether the bytes behind the handshake read like text. A frame's header and the start of its payload
// hardly ever do.
func (in *inbound) looksLikeText() bool {
	b := in.buf
	if in.head != nil {
		b = append(frame.Append(nil, *in.head), in.buf...)
	}
	const sample = 8
	if len(b) < sample/2 {
		return false
	}
	return !slices.ContainsFunc(b[:min(len(b), sample)], func(c byte) bool {
		return (c < ' ' || c >= 0x7f) && c != '\r' && c != '\n' && c != '\t'
	})
}

// glimpse returns what has come of a payload that is not waited for.
func (in *inbound) glimpse() []byte {
	b := in.buf[:min(int64(len(in.buf)), in.left, keepPayload)]
	if in.head != nil && in.head.Masked {
		b = append([]byte(nil), b...)
		frame.Mask(b, in.head.Key)
	}
	return b
}

// whole takes the frame that came, and what it means for its message.
func (in *inbound) whole() (*incoming, error) {
	f := &incoming{Header: *in.head, payload: in.kept}
	in.head, in.kept = nil, nil
	in.frames++
	if f.Opcode.Control() {
		f.done, f.message, f.size = true, f.payload, f.Length
		if f.Opcode == frame.Close {
			return f, checkClose(f.payload)
		}
		return f, nil
	}
	if f.Opcode != frame.Continuation {
		in.open, in.opcode, in.compressed = true, f.Opcode, f.RSV&frame.RSV1 != 0
		in.message, in.size, in.text = nil, 0, textCheck{}
	}
	f.compressed = in.compressed
	in.size += f.Length
	if room := keepPayload - len(in.message); room > 0 {
		in.message = append(in.message, f.payload[:min(len(f.payload), room)]...)
	}
	if in.opcode == frame.Text && !in.compressed {
		in.text.lost = in.text.lost || f.Length > int64(len(f.payload))
		if !in.text.lost && !in.text.add(f.payload, f.Fin) {
			return f, &broken{FaultFrame, "RFC 6455 §8.1", "a text message is not UTF-8"}
		}
	}
	if !f.Fin {
		return f, nil
	}
	in.open = false
	f.done, f.message, f.size = true, in.message, in.size
	in.message = nil
	if !in.compressed {
		return f, nil
	}
	return f, in.inflate(f)
}

// inflate turns the message that f ends into what it says.
func (in *inbound) inflate(f *incoming) error {
	if in.size > int64(len(f.message)) { // its end was not kept
		in.inflater.lost = true
		f.message, f.size = nil, 0
		return nil
	}
	plain, size, err := in.inflater.message(f.message)
	f.message, f.size = plain, size
	switch {
	case errors.Is(err, errLost):
		f.message = nil
		return nil
	case err != nil:
		return &broken{FaultFrame, "RFC 7692 §7.2.2", "a compressed message cannot be inflated"}
	case in.opcode == frame.Text && size == int64(len(plain)) && !utf8.Valid(plain):
		return &broken{FaultFrame, "RFC 6455 §8.1", "a text message is not UTF-8"}
	}
	return nil
}

// checkClose holds a close frame's payload against RFC 6455 §5.5.1 and §7.4.
func checkClose(b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	case len(b) == 1:
		return &broken{FaultFrame, "RFC 6455 §5.5.1", "a close frame has one byte: a code has two"}
	case !validCode(closeCode(b)):
		return &broken{FaultFrame, "RFC 6455 §7.4", fmt.Sprintf("a close frame has the code %d, which may not be sent", closeCode(b))}
	case !utf8.Valid(b[2:]):
		return &broken{FaultFrame, "RFC 6455 §5.5.1", "the reason of a close frame is not UTF-8"}
	}
	return nil
}

// closeCode returns the code of a close frame, 1005 when it has none.
func closeCode(b []byte) int {
	if len(b) < 2 {
		return 1005
	}
	return int(b[0])<<8 | int(b[1])
}

// validCode reports whether a code may stand in a close frame (RFC 6455 §7.4.1 and the registry).
func validCode(code int) bool {
	switch {
	case code == 1004, code == 1005, code == 1006, code == 1015:
		return false
	case code >= 1000 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// textCheck holds a message that comes in parts against UTF-8.
type textCheck struct {
	carry []byte // the start of a character that was cut
	lost  bool   // not all of it was kept: it cannot be judged
}

// add takes the next part and reports whether all is well so far.
func (c *textCheck) add(b []byte, last bool) bool {
	all := append(c.carry, b...)
	if last {
		c.carry = nil
		return utf8.Valid(all)
	}
	end := len(all)
	for i := 1; i <= min(utf8.UTFMax-1, len(all)); i++ { // the last character may be cut
		if r := all[len(all)-i]; utf8.RuneStart(r) {
			if !utf8.FullRune(all[len(all)-i:]) {
				end = len(all) - i
			}
			break
		}
	}
	c.carry = append([]byte(nil), all[end:]...)
	return utf8.Valid(all[:end])
}
