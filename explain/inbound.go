package explain

import (
	"encoding/binary"
	"errors"
	"iter"
	"net"
	"slices"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

const (
	keepPayload = 1 << 20  // kept bytes of a payload, and of a message
	maxInflated = 16 << 20 // the number of bytes after which the inflation of a message stops
	readChunk   = 16 << 10
)

// broken is the error for a rule that the server's frames violate.
type broken struct {
	fault  Fault
	clause string
	detail string
	code   int // the code of the client's close frame
}

func (b *broken) Error() string { return b.detail + " (" + b.clause + ")" }

// inbound reads the server's frames. The Machine enforces the rules, and inbound keeps the frames for the report. If a deadline ends a
// wait, no data is lost: the next call continues in the same place.
type inbound struct {
	conn     net.Conn
	m        *protocol.Machine
	buf      []byte             // received bytes that are not processed yet
	inflater *protocol.Inflater // nil if no compression was negotiated
	deadline time.Time          // the deadline of the current call of next
	failed   error              // a read error that fill returns after the received bytes are processed
	lastRead time.Time          // when the last bytes were received
	frames   int                // number of complete frames
	data     int                // number of complete frames that end a message
	last     *incoming          // the last complete frame

	frame      *incoming // the incomplete frame; nil if there is none
	left       int64     // the number of missing bytes of frame's payload
	compressed bool      // the current message is compressed
	message    []byte    // the kept part of the current message
	size       int64     // the received size of the current message
}

func newInbound(conn net.Conn, buf []byte, inf *protocol.Inflater) *inbound {
	m := &protocol.Machine{Client: true, Relay: true, Compressed: inf != nil}
	return &inbound{conn: conn, m: m, buf: buf, inflater: inf}
}

// incoming is a received frame.
type incoming struct {
	frame.Header
	payload []byte // the unmasked payload, or its first keepPayload bytes
	text    bool   // in a data frame: the message is text
	code    int    // in a close frame: the code; 1005 if there is none
	// done means that the frame is the last one of a message. message is then the inflated beginning of the message, and size the total
	// length.
	done       bool
	compressed bool
	message    []byte
	size       int64
}

// next returns the next frame. The error is a *broken or an error of the connection. With a *broken, next also returns what is known about
// the frame.
func (in *inbound) next(deadline time.Time) (*incoming, error) {
	in.deadline = deadline
	in.conn.SetReadDeadline(deadline)
	for {
		f, err := in.take()
		if f != nil || err != nil {
			return f, err
		}
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads once from the connection into buf.
func (in *inbound) fill() error {
	if err := in.failed; err != nil {
		in.failed = nil
		return err
	}
	chunk := make([]byte, readChunk)
	n, err := in.conn.Read(chunk)
	in.buf = append(in.buf, chunk[:n]...)
	if n > 0 {
		in.lastRead = time.Now()
		return nil // the next read returns the error again
	}
	return err
}

// await waits a moment for n bytes, so that the report about a violation does not depend on how the network splits the bytes.
func (in *inbound) await(n int) {
	if len(in.buf) >= n || in.failed != nil {
		return
	}
	in.conn.SetReadDeadline(earlier(in.deadline, time.Now().Add(arrivalTimeout)))
	for len(in.buf) < n {
		if err := in.fill(); err != nil {
			if !isTimeout(err) {
				in.failed = err
			}
			break
		}
	}
	in.conn.SetReadDeadline(in.deadline)
}

// take processes the received bytes. It returns a nil frame and a nil error if the frame is incomplete.
func (in *inbound) take() (*incoming, error) {
	if in.frame == nil {
		if in.frames == 0 && in.isGarbage() {
			in.await(violationBytes)
			return &incoming{}, &broken{FaultGarbage, "RFC 6455 §5.2", "the bytes after the 101 are not frames", 1002}
		}
		h, n, err := frame.Parse(in.buf)
		if n == 0 && err == nil {
			return nil, nil
		}
		f := &incoming{Header: h}
		in.frame, in.left = f, h.Length
		if n == 0 { // the encoding of the length is invalid, which the Machine reports
			if n = 10; in.buf[1]&0x7f == 126 {
				n = 4
			}
		}
		header := in.buf[:n:n]
		if err := in.step(n); err != nil {
			if p := in.last; p != nil {
				err = in.recount(p, header, err)
			}
			in.keepViolation(f)
			return f, err
		}
		if !h.Opcode.Control() {
			if h.Opcode != frame.Continuation {
				in.compressed = h.RSV&frame.RSV1 != 0
			}
			f.text, f.compressed = in.m.Text(), in.compressed
		}
	}
	for in.left > 0 {
		if len(in.buf) == 0 {
			return nil, nil
		}
		n := int(min(in.left, int64(len(in.buf))))
		f := in.frame
		f.payload = append(f.payload, in.buf[:min(n, keepPayload-len(f.payload))]...)
		in.left -= int64(n)
		if err := in.step(n); err != nil {
			if in.left == 0 {
				err = in.recount(f, nil, err)
			}
			in.keepViolation(f)
			if f.Opcode == frame.Close && len(f.payload) > 1 { // the report also shows the code of an invalid close frame
				f.code = int(binary.BigEndian.Uint16(f.payload))
			}
			return f, err
		}
	}
	f := in.frame
	in.frame = nil
	in.frames++
	in.last = f
	if !f.Opcode.Control() && f.Fin {
		in.data++
	}
	return f, in.whole(f)
}

// step passes the next n bytes, which belong to one frame, to the Machine.
func (in *inbound) step(n int) error {
	b := in.buf[:n]
	in.buf = in.buf[n:]
	for {
		ev, used, err := in.m.Step(b)
		if err != nil {
			return in.violation(err)
		}
		in.event(ev)
		if b = b[used:]; len(b) == 0 {
			return nil
		}
	}
}

// event stores a result of the Machine in the current frame.
func (in *inbound) event(ev protocol.Event) {
	f := in.frame
	switch ev.Kind {
	case protocol.Data:
		if ev.First {
			in.message, in.size = nil, 0
		}
		in.message = append(in.message, ev.Payload[:min(len(ev.Payload), keepPayload-len(in.message))]...)
		in.size += int64(len(ev.Payload))
		f.done = ev.Last
	case protocol.Close:
		f.code, f.done = int(ev.Code), true
	case protocol.Ping, protocol.Pong:
		f.done = true
	}
}

// whole sets the message of a completely received frame.
func (in *inbound) whole(f *incoming) error {
	if f.Opcode.Control() {
		f.message, f.size = f.payload, f.Length
		return nil
	}
	if !f.done {
		return nil
	}
	f.message, f.size = in.message, in.size
	in.message = nil
	if !f.compressed {
		return nil
	}
	return in.inflate(f)
}

// inflate inflates the message that f ends.
func (in *inbound) inflate(f *incoming) error {
	if f.size > int64(len(f.message)) { // the end of the message was not kept
		in.inflater.Skip()
		f.message, f.size = nil, 0
		return nil
	}
	if in.inflater.Lost() {
		f.message, f.size = nil, 0
		return nil
	}
	plain, size, err := inflated(in.inflater.Parts(f.message))
	f.message, f.size = plain, size
	switch {
	case err != nil:
		return in.violation(in.m.CannotInflate("RFC 7692 §7.2.2", "its payload is not valid compressed data"))
	case size > int64(len(plain)): // the message was not kept completely, so it cannot be checked
		return nil
	}
	if err := in.m.Inflated(plain, true); err != nil {
		return in.violation(err)
	}
	return nil
}

// inflated returns the first keepPayload bytes of a message, and its total size up to about maxInflated.
func inflated(parts iter.Seq2[[]byte, error]) (plain []byte, size int64, err error) {
	for part, err := range parts {
		if err != nil || size > maxInflated {
			return plain, size, err
		}
		size += int64(len(part))
		plain = append(plain, part[:min(len(part), keepPayload-len(plain))]...)
	}
	return plain, size, nil
}

// violation converts an error of the Machine for a violated rule to a *broken.
func (in *inbound) violation(err error) error {
	v, ok := errors.AsType[*protocol.Violation](err)
	if !ok {
		return err
	}
	fault := FaultFrame
	if v.Section == "RFC 6455 §5.1" {
		fault = FaultMasked
	}
	return &broken{fault, v.Section, v.Detail, int(v.Code)}
}

// isGarbage reports whether the bytes after the handshake are not frames, rather than frames with an error.
func (in *inbound) isGarbage() bool {
	if len(in.buf) == 0 {
		return false
	}
	if isText(in.buf[0]) {
		if in.await(textSample); looksLikeText(in.buf) {
			return true
		}
	}
	in.await(2)
	h, n, err := frame.Parse(in.buf)
	if n == 0 && err == nil || h.RSV&(frame.RSV2|frame.RSV3) == 0 && !h.Opcode.Reserved() {
		return false
	}
	const after = 14 // the maximum size of the header of the next frame
	if err != nil || h.Length > violationBytes-after-int64(n) {
		return true
	}
	whole := n + int(h.Length) + after
	in.await(whole)
	return !isWhole(h, n, in.buf[:min(whole, len(in.buf))])
}

// violationBytes is the number of bytes that are read of a violation. More bytes are read than displayed, so that a secret at the end of
// the displayed part is complete and can be redacted.
const violationBytes = 4 << 10

// keepViolation keeps the beginning of the payload of a frame that violates a rule.
func (in *inbound) keepViolation(f *incoming) {
	want := int(min(f.Length, violationBytes))
	if room := want - len(f.payload); room > 0 {
		in.await(room)
		more := slices.Clone(in.buf[:min(room, len(in.buf))])
		if f.Masked {
			frame.Mask(more, f.Key)
		}
		f.payload = append(f.payload, more...)
	}
	f.payload = f.payload[:min(want, len(f.payload))]
}

// recount returns the reason for err if the length of the text frame f was counted wrongly. The bytes after f, which begin with header,
// are then the rest of the text. Otherwise recount returns err.
func (in *inbound) recount(f *incoming, header []byte, err error) error {
	if f.Opcode != frame.Text || !f.Fin || f.compressed || !slices.ContainsFunc(f.payload, func(c byte) bool { return c >= 0x80 }) {
		return err
	}
	const enough = maxMiscounted + 14 // the rest of the text, and the header of the next frame
	in.await(enough)
	rest := slices.Concat(header, in.buf)
	if better := miscounted(f.payload, rest[:min(len(rest), enough)]); better != nil {
		return better
	}
	return err
}

// textSample is the number of bytes that looksLikeText checks.
const textSample = 8

// looksLikeText reports whether the bytes after the handshake look like ASCII text, which the beginning of a frame hardly ever does.
func looksLikeText(b []byte) bool {
	if len(b) < textSample/2 {
		return false
	}
	return !slices.ContainsFunc(b[:min(len(b), textSample)], func(c byte) bool { return !isText(c) })
}

// isText reports whether c is a printable ASCII character, a tab or a part of a line end.
func isText(c byte) bool {
	return ' ' <= c && c < 0x7f || c == '\r' || c == '\n' || c == '\t'
}
