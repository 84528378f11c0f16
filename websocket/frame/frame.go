// Package frame encodes and decodes WebSocket frame headers and masks payloads, as specified in RFC 6455 sections 5.2 and 5.3. It
// has no I/O, no state, and no rules beyond the wire format. What a peer may send at a given time is decided by a higher layer.
package frame

import (
	"encoding/binary"
	"errors"
)

// Opcode is the type of a frame (RFC 6455 §5.2).
type Opcode uint8

// The opcodes that RFC 6455 §11.8 registers. 3 to 7 and 11 to 15 are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Control reports whether o is a control opcode: the top bit is set (RFC 6455 §5.5).
func (o Opcode) Control() bool { return o&0x8 != 0 }

// Reserved reports whether o is an opcode that no RFC defines.
func (o Opcode) Reserved() bool { return o&0x7 > 2 }

// String returns the name of o in the RFC.
func (o Opcode) String() string {
	switch o {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return "reserved"
}

// The reserved bits in Header.RSV.
const (
	RSV1 uint8 = 0x40
	RSV2 uint8 = 0x20
	RSV3 uint8 = 0x10
)

// MaxHeader is the length in bytes of the longest header: 2 bytes, an 8-byte length and a 4-byte key.
const MaxHeader = 14

// MaxControlPayload is the maximum payload of a control frame in bytes (RFC 6455 §5.5).
const MaxControlPayload = 125

// Header is the header of a frame.
type Header struct {
	Fin    bool    // the last frame of a message
	RSV    uint8   // any of RSV1, RSV2 and RSV3
	Opcode Opcode  // the type of the frame
	Masked bool    // a key follows, and the payload is masked with it
	Key    [4]byte // the masking key; zero unless Masked
	Length int64   // payload bytes; never negative
}

// The errors of a malformed payload length (RFC 6455 §5.2).
var (
	ErrLengthTopBit     = errors.New("frame: the most significant bit of a 64-bit payload length is set")
	ErrLengthNotMinimal = errors.New("frame: a payload length is not encoded in the minimal number of bytes")
)

// Size returns the length in bytes of a header whose second byte is b1, which alone determines it.
func Size(b1 byte) int {
	n := 2
	switch b1 & 0x7F {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b1&0x80 != 0 {
		n += 4
	}
	return n
}

// Parse parses the header at the start of b and returns its length in bytes. It returns 0 and no error if b does not contain a
// complete header yet. A length that RFC 6455 §5.2 forbids is an error, reported as soon as b contains the length field.
func Parse(b []byte) (h Header, n int, err error) {
	if len(b) < 2 {
		return Header{}, 0, nil
	}
	h.Fin = b[0]&0x80 != 0
	h.RSV = b[0] & 0x70
	h.Opcode = Opcode(b[0] & 0x0F)
	h.Masked = b[1]&0x80 != 0
	n = 2
	switch length := b[1] & 0x7F; length {
	case 126:
		if len(b) < 4 {
			return h, 0, nil
		}
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
		if h.Length < 126 {
			return h, 0, ErrLengthNotMinimal
		}
		n = 4
	case 127:
		if len(b) < 10 {
			return h, 0, nil
		}
		v := binary.BigEndian.Uint64(b[2:])
		if v>>63 != 0 {
			return h, 0, ErrLengthTopBit
		}
		if v < 1<<16 {
			return h, 0, ErrLengthNotMinimal
		}
		h.Length = int64(v)
		n = 10
	default:
		h.Length = int64(length)
	}
	if h.Masked {
		if len(b) < n+4 {
			return h, 0, nil
		}
		h.Key = [4]byte(b[n:])
		n += 4
	}
	return h, n, nil
}

// Append appends h in its shortest form to dst and returns the extended slice. It does not check h; a negative Length panics.
func Append(dst []byte, h Header) []byte {
	b0 := byte(h.Opcode)&0x0F | h.RSV&0x70
	if h.Fin {
		b0 |= 0x80
	}
	var mask byte
	if h.Masked {
		mask = 0x80
	}
	switch {
	case h.Length < 0:
		panic("frame: negative length")
	case h.Length < 126:
		dst = append(dst, b0, mask|byte(h.Length))
	case h.Length < 1<<16:
		dst = append(dst, b0, mask|126, byte(h.Length>>8), byte(h.Length))
	default:
		dst = append(dst, b0, mask|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}
