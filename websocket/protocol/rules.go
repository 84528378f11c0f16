package protocol

import (
	"errors"
	"fmt"

	"github.com/handfast/handfast/websocket/frame"
)

// The status codes that the rules use (RFC 6455 §7.4.1).
const (
	codeProtocol    = 1002
	codeNoStatus    = 1005
	codeInvalidData = 1007
	codePolicy      = 1008
	codeTooBig      = 1009
)

func violation(section string, code uint16, detail string) *Violation {
	return &Violation{Section: "RFC 6455 " + section, Code: code, Detail: detail}
}

// check applies every rule that concerns the first two bytes of a header.
func (m *Machine) check(b0, b1 byte) *Violation {
	op := frame.Opcode(b0 & 0x0F)
	fin := b0&0x80 != 0
	masked := b1&0x80 != 0
	length := b1 & 0x7F

	// §5.2: RSV1, RSV2, RSV3 MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.
	rsv := b0 & (frame.RSV1 | frame.RSV2 | frame.RSV3)
	if m.Compressed && rsv == frame.RSV1 {
		// RFC 7692 §6.1: RSV1 is set on the first fragment of a data message only.
		if op != frame.Text && op != frame.Binary {
			return &Violation{"RFC 7692 §6.1", codeProtocol, fmt.Sprintf("RSV1 on a %s frame", op)}
		}
	} else if rsv != 0 {
		return violation("§5.2", codeProtocol, "a reserved bit is set and no extension gives it a meaning")
	}

	// §5.2: if an unknown opcode is received, the receiving endpoint MUST fail the connection.
	if op.Reserved() {
		return violation("§5.2", codeProtocol, fmt.Sprintf("opcode %d is reserved", op))
	}

	// §5.1: a client MUST mask all frames that it sends; a server MUST NOT mask any. An endpoint that receives a frame
	// that violates this closes the connection.
	if masked && m.Client {
		return violation("§5.1", codeProtocol, "a masked frame from a server")
	}
	if !masked && !m.Client {
		return violation("§5.1", codeProtocol, "an unmasked frame from a client")
	}

	if op.Control() {
		// §5.5: control frames MUST have a payload of 125 bytes or less and MUST NOT be fragmented.
		if !fin {
			return violation("§5.5", codeProtocol, fmt.Sprintf("a fragmented %s frame", op))
		}
		if length > frame.MaxControlPayload {
			return violation("§5.5", codeProtocol, fmt.Sprintf("a %s frame with more than 125 bytes of payload", op))
		}
		return nil
	}

	// §5.4: a fragmented message is one frame with an opcode, then continuation frames, and messages do not interleave.
	if op == frame.Continuation && !m.inMessage {
		return violation("§5.4", codeProtocol, "a continuation frame with no message to continue")
	}
	if op != frame.Continuation && m.inMessage {
		return violation("§5.4", codeProtocol, fmt.Sprintf("a %s frame inside a fragmented message", op))
	}
	return nil
}

// lengthViolation returns the violation for a length that frame.Parse has rejected.
func lengthViolation(err error) *Violation {
	if errors.Is(err, frame.ErrLengthTopBit) {
		// §5.2: the most significant bit of a 64-bit length MUST be 0.
		return violation("§5.2", codeProtocol, "a 64-bit payload length with its most significant bit set")
	}
	// §5.2: the minimal number of bytes MUST be used to encode the length.
	return violation("§5.2", codeProtocol, "a payload length in more bytes than it needs")
}

// fail records that the peer violated a rule, and queues a close frame. §7.1.7: to fail the connection, an endpoint sends a
// close frame with the code and no longer processes received data.
func (m *Machine) fail(v *Violation) error {
	m.violation = v
	m.ended = true
	m.controlPayload = nil
	m.replies = append(m.replies, reply{frame.Close, closePayload(v.Code, v.Detail)})
	return v
}

// Fail fails the connection for a rule that the driver checks, such as a rate or the output of a codec.
func (m *Machine) Fail(v *Violation) error {
	if m.ended {
		return v
	}
	return m.fail(v)
}

// CodeOnWire reports whether a close frame may contain code, whether the frame is sent or received.
func CodeOnWire(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true // §7.4.1, and 1012 to 1014 from the IANA registry of §11.7
	case code >= 3000 && code <= 4999:
		return true // §7.4.2: codes of libraries, frameworks and applications
	}
	return false // 0 to 999 are not used; 1004 to 1006 and 1015 MUST NOT be set; the rest of 1000 to 2999 is reserved
}
