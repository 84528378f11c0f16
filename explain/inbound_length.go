package explain

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// maxMiscounted limits the number of bytes after a text that may be the rest of it.
const maxMiscounted = 512

// miscounted explains a violation by the previous frame: a text whose length was counted in characters, or in UTF-16 code units,
// has more bytes than it announces, and the rest of them is read as a frame. text is the payload of the announced length, rest the
// bytes after it. It returns nil if the bytes do not fit this explanation.
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
		return &broken{FaultFrame, "RFC 6455 §5.2", fmt.Sprintf("a text frame declares %d bytes, which is the number of its %s: it has %d bytes", n, units, n+k), 1002}
	}
	return nil
}

// plausible reports whether b is empty, or begins like a frame of a server.
func plausible(b []byte) bool {
	if len(b) < 2 {
		return len(b) == 0
	}
	h, n, err := frame.Parse(b)
	return err == nil && (n == 0 || h.RSV&(frame.RSV2|frame.RSV3) == 0 && !h.Opcode.Reserved() && !h.Masked)
}

// isWhole reports whether b contains a complete frame, with a header of n bytes, and anything after it may be a frame.
func isWhole(h frame.Header, n int, b []byte) bool {
	left := int64(len(b) - n)
	return n > 0 && !h.Masked && left >= h.Length && plausible(b[int64(n)+h.Length:])
}

// incompleteFrame describes an incompletely received frame, "" if there is none.
func (in *inbound) incompleteFrame() string {
	switch {
	case in.frame != nil:
		return fmt.Sprintf("a %s frame declares %d bytes, but only %d of them were received", in.frame.Opcode, in.frame.Length, in.frame.Length-in.left)
	case len(in.buf) > 0:
		return fmt.Sprintf("a frame header is incomplete: %s received", count(len(in.buf), "byte", "bytes"))
	}
	return ""
}
