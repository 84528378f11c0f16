package protocol

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// ErrClosing is returned for a frame that would follow our own close frame, which §5.5.1 forbids.
var ErrClosing = errors.New("the close frame has been sent")

// ErrCode is returned for a status code that must not be on the wire (RFC 6455 §7.4).
var ErrCode = errors.New("this status code must not be sent")

// handleControl takes a piece of a control frame's payload, and handles the frame when it is complete.
func (m *Machine) handleControl(piece []byte) (Event, *Violation) {
	if m.left > 0 || m.controlPayload != nil {
		m.controlPayload = append(m.controlPayload, piece...)
		if m.left > 0 {
			return Event{}, nil
		}
		piece = m.controlPayload
		m.controlPayload = nil
	}
	m.inFrame = false
	switch m.opcode {
	case frame.Ping:
		// §5.5.2, §5.5.3: a ping is answered by a pong with the same payload.
		if !m.Relay {
			m.replies = append(m.replies, reply{frame.Pong, slices.Clone(piece)})
		}
		return Event{Kind: Ping, Payload: piece}, nil
	case frame.Pong:
		return Event{Kind: Pong, Payload: piece}, nil // §5.5.3: an unsolicited pong is allowed and has no meaning
	}
	return m.handleClose(piece)
}

// handleClose handles the payload of the peer's close frame.
func (m *Machine) handleClose(p []byte) (Event, *Violation) {
	code := uint16(codeNoStatus) // §7.1.5: a frame without a code counts as 1005
	reason := p
	switch {
	case len(p) == 1:
		// §5.5.1: if there is a body, its first two bytes MUST be the status code.
		return Event{}, violation("§5.5.1", codeProtocol, "a close frame with one byte where two hold the status code")
	case len(p) >= 2:
		code, reason = binary.BigEndian.Uint16(p), p[2:]
		if !CodeOnWire(code) {
			return Event{}, violation("§7.4", codeProtocol, "a close frame with a status code that must not be sent")
		}
		if !utf8.Valid(reason) { // §5.5.1, §8.1: the reason is UTF-8
			return Event{}, violation("§8.1", codeInvalidData, "a close frame whose reason is not UTF-8")
		}
	}
	m.ended = true
	// §5.5.1: an endpoint that has not sent a close frame MUST send one in response, and typically echoes the code. The reason is
	// echoed, too: browsers report the code and the reason of our frame.
	if !m.Relay {
		m.replies = append(m.replies, reply{frame.Close, slices.Clone(p)})
	}
	return Event{Kind: Close, Code: code, Payload: reason}, nil
}

// WithholdClose removes the reply to the peer's close frame from the output. The driver sends it later with AppendClose. The method
// belongs to the reading half.
func (m *Machine) WithholdClose() {
	m.replies = slices.DeleteFunc(m.replies, func(r reply) bool { return r.opcode == frame.Close })
}

// Pending reports whether AppendOutput has anything to append.
func (m *Machine) Pending() bool { return len(m.replies) > 0 }

// AppendOutput appends the frames that the reading half requires: pongs, the reply to a close frame, and the close frame for a
// violation. After our own close frame it appends only pongs: §5.5.2 requires them until the peer's close frame has arrived, and
// §5.5.1 forbids only data. It omits pongs that would make dst longer than room, the oldest first, so that a peer that sends pings
// and does not read uses bounded memory. §5.5.3: an endpoint that has not yet answered earlier pings MAY answer the most recent one
// only.
//
// key returns a masking key for each frame of a client.
func (m *Machine) AppendOutput(dst []byte, room int, key func() [4]byte) []byte {
	excess := m.excessPongs(room - len(dst))
	for _, r := range m.replies {
		if r.opcode == frame.Pong && excess > 0 {
			excess--
			continue
		}
		if r.opcode == frame.Close {
			if m.closing {
				continue // §5.5.1: an endpoint that has sent a close frame does not reply to the peer's close frame
			}
			m.closing = true
		}
		dst = m.appendControl(dst, r.opcode, r.payload, key)
	}
	m.replies = nil
	return dst
}

// excessPongs returns how many pongs to omit so that the others take at most room bytes.
func (m *Machine) excessPongs(room int) int {
	var second byte // the second byte of a control frame's header: the mask bit, and a length that fits into the same byte
	if m.Client {
		second = 0x80
	}
	excess := 0
	for _, r := range slices.Backward(m.replies) {
		if r.opcode != frame.Pong {
			continue
		}
		room -= frame.Size(second) + len(r.payload)
		if room < 0 {
			excess++
		}
	}
	return excess
}

// AppendClose appends our close frame. Code 1005 makes a frame without a body; for other codes that must not be sent the error is
// ErrCode. A reason that is too long is truncated at a character boundary, and invalid UTF-8 in it is replaced.
func (m *Machine) AppendClose(dst []byte, code uint16, reason string, key func() [4]byte) ([]byte, error) {
	if code != codeNoStatus && !CodeOnWire(code) {
		return dst, ErrCode // §7.4.1: 1005, 1006 and 1015 MUST NOT be set as a status code
	}
	if m.closing {
		return dst, ErrClosing
	}
	m.closing = true
	return m.appendControl(dst, frame.Close, closePayload(code, reason), key), nil
}

// AppendPing appends a ping with at most 125 bytes of payload.
func (m *Machine) AppendPing(dst, payload []byte, key func() [4]byte) ([]byte, error) {
	if m.closing {
		return dst, ErrClosing
	}
	return m.appendControl(dst, frame.Ping, payload[:min(len(payload), frame.MaxControlPayload)], key), nil
}

// AppendPong appends a pong with at most 125 bytes of payload: the reply to a ping if Relay is set, or an unsolicited pong (§5.5.3). A pong
// may also be sent after our close frame: §5.5.1 forbids only data.
func (m *Machine) AppendPong(dst, payload []byte, key func() [4]byte) []byte {
	return m.appendControl(dst, frame.Pong, payload[:min(len(payload), frame.MaxControlPayload)], key)
}

// Closing reports whether our close frame has been made, after which no frame may be sent.
func (m *Machine) Closing() bool { return m.closing }

func (m *Machine) appendControl(dst []byte, op frame.Opcode, payload []byte, key func() [4]byte) []byte {
	h := frame.Header{Fin: true, Opcode: op, Length: int64(len(payload))}
	if m.Client {
		h.Masked, h.Key = true, key()
	}
	return appendFrame(dst, h, payload)
}

// BeginFrame returns the header for a data frame of n payload bytes: the first frame of a message if none is open, otherwise a
// continuation. If fin is set, it is the last frame. BeginFrame does not handle the payload: the driver masks a client's payload
// with the header's key.
func (m *Machine) BeginFrame(text, compressed, fin bool, n int, key [4]byte) (frame.Header, error) {
	if m.closing {
		return frame.Header{}, ErrClosing
	}
	h := frame.Header{Fin: fin, Opcode: frame.Binary, Length: int64(n), Masked: m.Client}
	switch {
	case m.fragmented:
		h.Opcode = frame.Continuation // §5.4: every frame except the first
	case text:
		h.Opcode = frame.Text
	}
	if compressed && !m.fragmented {
		h.RSV = frame.RSV1 // RFC 7692 §6.1
	}
	if m.Client {
		h.Key = key
	}
	m.fragmented = !fin
	return h, nil
}

// AppendMessage appends a message in one frame, with the header that BeginFrame would return. key returns a client's masking key, which
// must be new for each frame and come from a strong source of entropy (§5.3). For a server, key may be nil.
func (m *Machine) AppendMessage(dst []byte, text bool, p []byte, key func() [4]byte) ([]byte, error) {
	if m.closing || m.fragmented || m.Client || len(p) >= 1<<16 {
		var k [4]byte
		if m.Client {
			k = key()
		}
		h, err := m.BeginFrame(text, false, true, len(p), k)
		if err != nil {
			return dst, err
		}
		return appendFrame(dst, h, p), nil
	}
	b0 := finBinary
	if text {
		b0 = finText
	}
	if n := len(p); n < 126 {
		dst = append(dst, b0, byte(n))
	} else {
		dst = append(dst, b0, 126, byte(n>>8), byte(n))
	}
	return append(dst, p...), nil
}

// MessageOpen reports whether one of our messages has begun and not ended: only control frames and the rest of the message may
// follow.
func (m *Machine) MessageOpen() bool { return m.fragmented }

func appendFrame(dst []byte, h frame.Header, payload []byte) []byte {
	dst = frame.Append(dst, h)
	start := len(dst)
	dst = append(dst, payload...)
	if h.Masked {
		frame.Mask(dst[start:], h.Key)
	}
	return dst
}

// closePayload builds the body of a close frame: the code and a reason of at most 123 bytes.
func closePayload(code uint16, reason string) []byte {
	if code == codeNoStatus {
		return nil
	}
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	const maxReason = frame.MaxControlPayload - 2
	if len(reason) > maxReason {
		cut := maxReason
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), code), reason...)
}
