package protocol

import (
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// Whole is Step for what most messages are: one frame that is here whole and begins in b, with a length of up to 16 bits,
// neither compressed nor fragmented. It returns the message, whether it is text, and the bytes used; 0 for all else, and
// for all that breaks a rule: Step judges that, from the same bytes. So there is no rule in here that is not among Step's,
// and b is changed only where n > 0.
func (m *Machine) Whole(b []byte) (p []byte, text bool, n int) {
	if len(b) < 6 || b[0] != finText && b[0] != finBinary || m.inFrame || m.inMessage || m.nhead > 0 || m.ended {
		return nil, false, 0
	}
	var key [4]byte
	size, start := int(b[1]&0x7f), 2
	if size >= 126 {
		if size == 127 || len(b) < 8 {
			return nil, false, 0
		}
		if size = int(b[2])<<8 | int(b[3]); size < 126 { // §5.2: in more bytes than it needs
			return nil, false, 0
		}
		start = 4
	}
	masked := b[1]&0x80 != 0
	if masked == m.Client { // §5.1
		return nil, false, 0
	}
	if masked {
		key = [4]byte(b[start:])
		start += 4
	}
	n = start + size
	if n > len(b) || m.Limits != nil && m.Limits.MaxMessage > 0 && int64(size) > m.Limits.MaxMessage {
		return nil, false, 0
	}
	p = b[start:n:n]
	if masked {
		frame.Mask(p, key)
	}
	text = b[0] == finText
	if text && !utf8.Valid(p) {
		if masked {
			frame.Mask(p, key) // twice is not at all
		}
		return nil, false, 0
	}
	return p, text, n
}

// The first bytes of such frames.
const (
	finText   = 0x80 | byte(frame.Text)
	finBinary = 0x80 | byte(frame.Binary)
)
