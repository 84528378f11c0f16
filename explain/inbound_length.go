package explain

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// maxMiscounted bounds the bytes behind a text that are looked at for the rest of it.
const maxMiscounted = 512

// miscounted explains a broken rule by the frame before it: a text whose length was counted in characters, or in the units of
// UTF-16, has more bytes than it announces, and the rest of them is read as a frame. text is the payload of the announced length,
// rest what came behind it. It returns nil if that is not what the bytes show.
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

// plausible reports whether b is empty, or begins as a frame of a server does.
func plausible(b []byte) bool {
	if len(b) < 2 {
		return len(b) == 0
	}
	h, n, err := frame.Parse(b)
	return err == nil && (n == 0 || h.RSV&(frame.RSV2|frame.RSV3) == 0 && !h.Opcode.Reserved() && !h.Masked)
}

// isWhole reports whether b is a frame of n bytes of header, and all that it announces, and nothing behind it that is no frame.
func isWhole(h frame.Header, n int, b []byte) bool {
	left := int64(len(b) - n)
	return n > 0 && !h.Masked && left >= h.Length && plausible(b[int64(n)+h.Length:])
}

// cutShort describes a frame of which only a part has come, "" when there is none.
func (in *inbound) cutShort() string {
	switch {
	case in.frame != nil:
		return fmt.Sprintf("a %s frame declares %d bytes, but only %d of them were received", in.frame.Opcode, in.frame.Length, in.frame.Length-in.left)
	case len(in.buf) > 0:
		return fmt.Sprintf("a frame header is incomplete: %s received", count(len(in.buf), "byte", "bytes"))
	}
	return ""
}
