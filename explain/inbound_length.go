package explain

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// maxMiscounted is the maximum number of bytes by which the declared length of a text may be too small.
const maxMiscounted = 512

// miscountedLength is the part of a detail by which explainFrame recognizes a wrong length.
const miscountedLength = "which is the number of its "

// miscounted explains a violation by the text frame before it. If a server declares the length of a text in characters or in UTF-16 code
// units, the text has more bytes than declared, and the client reads the rest as a frame. text is the payload of the declared length, and
// rest contains the bytes after it. miscounted returns nil if this does not explain the bytes.
func miscounted(text, rest []byte) error {
	n := len(text)
	for k := 1; k <= min(len(rest), maxMiscounted); k++ {
		whole := append(text[:n:n], rest[:k]...)
		if !utf8.Valid(whole) || !plausible(rest[k:]) {
			continue
		}
		units := "characters"
		switch n {
		case utf8.RuneCount(whole):
		case len(utf16.Encode([]rune(string(whole)))):
			units = "UTF-16 units"
		default:
			continue
		}
		return &broken{FaultFrame, "RFC 6455 §5.2", fmt.Sprintf("a text frame declares %d bytes, "+miscountedLength+"%s: it has %d bytes", n, units, n+k), 1002}
	}
	return nil
}

// plausible reports whether b is empty or begins like a server's frame.
func plausible(b []byte) bool {
	if len(b) < 2 {
		return len(b) == 0
	}
	h, n, err := frame.Parse(b)
	return err == nil && (n == 0 || h.RSV&(frame.RSV2|frame.RSV3) == 0 && !h.Opcode.Reserved() && !h.Masked)
}

// isWhole reports whether b begins with the complete frame whose header h has n bytes, and any bytes after the frame may be a frame.
func isWhole(h frame.Header, n int, b []byte) bool {
	left := int64(len(b) - n)
	return n > 0 && !h.Masked && left >= h.Length && plausible(b[int64(n)+h.Length:])
}

// miscount returns the reason for received bytes that are too few for a header: the length of the text frame before them was counted
// wrongly, and they are the rest of the text. It returns nil if that is not the reason.
func (in *inbound) miscount() error {
	if in.frame != nil || in.last == nil || len(in.buf) == 0 {
		return nil
	}
	return in.recount(in.last, nil, nil)
}

// incompleteFrame describes the frame that was received incompletely. It returns "" if there is none.
func (in *inbound) incompleteFrame() string {
	switch {
	case in.frame != nil:
		return fmt.Sprintf("a %s frame declares %d bytes, but only %d of them were received", in.frame.Opcode, in.frame.Length, in.frame.Length-in.left)
	case len(in.buf) > 0:
		return fmt.Sprintf("a frame header is incomplete: %s received", count(len(in.buf), "byte", "bytes"))
	}
	return ""
}
