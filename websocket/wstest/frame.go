package wstest

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

// Frame is a frame that a Peer sends or receives. If only Opcode and Payload are set, it is a valid frame, masked according to the
// Peer's role. Every other field changes that.
type Frame struct {
	Opcode  frame.Opcode
	Payload []byte // not masked

	// More means that the message continues in another frame: the FIN bit is not set.
	More bool

	// RSV is any of frame.RSV1, frame.RSV2 and frame.RSV3.
	RSV uint8

	// WrongMask means that the frame is masked and sent by a server, or not masked and sent by a client (RFC 6455 §5.1).
	WrongMask bool

	// Key is the masking key. In a frame to send, zero means a fixed key. In a received frame, zero means that the frame was not masked.
	Key [4]byte

	// Length is the length in the header. 0 means the length of Payload. In a received frame it is 0.
	Length uint64

	// LengthSize is the size in bytes of the extended length: 2 or 8. 0 means the minimum, which RFC 6455 §5.2 requires. In a
	// received frame it is 0.
	LengthSize int
}

// fixedKey is the default masking key of a Peer, so that the bytes of a test are reproducible. It is the key of the examples in RFC
// 6455 §5.7.
var fixedKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// TextFrame returns a text message in one frame. s need not be UTF-8.
func TextFrame(s string) Frame { return Frame{Opcode: frame.Text, Payload: []byte(s)} }

// BinaryFrame returns a binary message in one frame. p is not copied.
func BinaryFrame(p []byte) Frame { return Frame{Opcode: frame.Binary, Payload: p} }

// CloseFrame returns a close frame with any code, including those that must not be sent, and a reason of any length. CodeNoStatus
// without a reason results in a frame without a payload, as in RFC 6455 §7.1.5.
func CloseFrame(code websocket.Code, reason string) Frame {
	f := Frame{Opcode: frame.Close}
	if code != websocket.CodeNoStatus || reason != "" {
		f.Payload = append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	}
	return f
}

// Code returns the code of a close frame, CodeNoStatus if it contains none, and 0 for any other frame.
func (f Frame) Code() websocket.Code {
	switch {
	case f.Opcode != frame.Close:
		return 0
	case len(f.Payload) < 2:
		return websocket.CodeNoStatus
	}
	return websocket.Code(binary.BigEndian.Uint16(f.Payload))
}

// String describes the frame in one line: text "hello"; close 1000 "bye"; binary, 3 bytes, more follows, RSV1.
func (f Frame) String() string {
	var b strings.Builder
	b.WriteString(f.Opcode.String())
	if f.Opcode.Reserved() {
		fmt.Fprintf(&b, " opcode %d", f.Opcode)
	}
	switch {
	case f.Opcode == frame.Close && len(f.Payload) >= 2:
		fmt.Fprintf(&b, " %d %q", uint16(f.Code()), f.Payload[2:])
	case f.Opcode == frame.Text && len(f.Payload) <= 64:
		fmt.Fprintf(&b, " %q", f.Payload)
	case len(f.Payload) > 0:
		fmt.Fprintf(&b, ", %d bytes", len(f.Payload))
	}
	if f.More {
		b.WriteString(", more follows")
	}
	for i, bit := range []uint8{frame.RSV1, frame.RSV2, frame.RSV3} {
		if f.RSV&bit != 0 {
			fmt.Fprintf(&b, ", RSV%d", i+1)
		}
	}
	if f.WrongMask {
		b.WriteString(", masked incorrectly")
	}
	if f.Length != 0 {
		fmt.Fprintf(&b, ", declared as %d bytes", f.Length)
	}
	if f.LengthSize != 0 {
		fmt.Fprintf(&b, ", length in %d bytes", f.LengthSize)
	}
	return b.String()
}

// append appends the bytes of f, as sent by a peer in the given role, to dst.
func (f Frame) append(dst []byte, role protocol.Role) []byte {
	b0 := byte(f.Opcode)&0x0F | f.RSV&0x70
	if !f.More {
		b0 |= 0x80
	}
	var mask byte
	masked := (role == protocol.RoleClient) != f.WrongMask
	if masked {
		mask = 0x80
	}
	dst = f.appendLength(append(dst, b0), mask)
	if !masked {
		return append(dst, f.Payload...)
	}
	key := f.Key
	if key == [4]byte{} {
		key = fixedKey
	}
	dst = append(dst, key[:]...)
	begin := len(dst)
	dst = append(dst, f.Payload...)
	frame.Mask(dst[begin:], key)
	return dst
}

// appendLength appends the header's second byte, with mask as its top bit, and the extended length.
func (f Frame) appendLength(dst []byte, mask byte) []byte {
	length, size := f.Length, f.LengthSize
	if length == 0 {
		length = uint64(len(f.Payload))
	}
	if size == 0 && length >= 126 {
		size = 2
		if length >= 1<<16 {
			size = 8
		}
	}
	switch size {
	case 0:
		return append(dst, mask|byte(length))
	case 2:
		return binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(length))
	case 8:
		return binary.BigEndian.AppendUint64(append(dst, mask|127), length)
	}
	panic(fmt.Sprintf("wstest: a frame's LengthSize is %d, and not 0, 2 or 8", size))
}
