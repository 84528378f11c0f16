package protocol

import (
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

// Whole is like Step for the most frequent kind of message: one complete frame at the beginning of b, with a length of up to 16 bits,
// neither compressed nor fragmented. It returns the message, whether it is text, and the number of bytes used. For any other frame, and for
// violations of rules, it returns 0: Step then handles the same bytes. So Whole adds no rule to those of Step. It modifies b only if n > 0.
func (m *Machine) Whole(b []byte) (p []byte, text bool, n int) {
	if len(b) < 6 || b[0] != finText && b[0] != finBinary || m.inFrame || m.inMessage || m.nhead > 0 || m.ended {
		return nil, false, 0
	}
	start, n := m.payloadBounds(b)
	if n == 0 || m.Limits != nil && m.Limits.MaxMessage > 0 && int64(n-start) > m.Limits.MaxMessage {
		return nil, false, 0
	}
	p = b[start:n:n]
	m.unmask(b, start, p)
	text = b[0] == finText
	if text && !utf8.Valid(p) {
		m.unmask(b, start, p) // masking a second time restores the bytes
		return nil, false, 0
	}
	return p, text, n
}

// payloadBounds returns the start and the end of the payload of the first frame in b. The end is 0 if the frame is incomplete, if its
// length has 64 bits, or if it violates a rule about lengths or masks. b contains at least 6 bytes.
func (m *Machine) payloadBounds(b []byte) (start, end int) {
	start, size := 2, int(b[1]&0x7f)
	if size == 126 {
		start, size = 4, int(b[2])<<8|int(b[3])
	}
	if size < 126 != (start == 2) || b[1]&0x80 != 0 == m.Client { // §5.2: the length is minimal; §5.1: only clients mask
		return 0, 0
	}
	if !m.Client {
		start += 4
	}
	if end = start + size; end > len(b) {
		end = 0
	}
	return start, end
}

// unmask unmasks the payload p of the frame in b. A client's frame contains the key before the payload.
func (m *Machine) unmask(b []byte, start int, p []byte) {
	if !m.Client {
		frame.Mask(p, [4]byte(b[start-4:]))
	}
}

// joinFragments extends ev, a fragment that ends at b[n], with the complete fragments of the same message that follow it. It moves their payloads
// together, so that the rest of the message needs fewer events. It returns the end of the last joined fragment. Like Whole, it leaves
// violations of rules and control frames to Step, and does not change their bytes.
func (m *Machine) joinFragments(b []byte, n int, ev *Event) int {
	from, to := n-len(ev.Payload), n
	for !ev.Last {
		rest := b[n:]
		if len(rest) < 6 || rest[0]&^finBit != byte(frame.Continuation) {
			break
		}
		start, end := m.payloadBounds(rest)
		if end == 0 || m.checkLimits(int64(end-start)) != nil {
			break
		}
		p, last := rest[start:end], rest[0]&finBit != 0
		m.unmask(rest, start, p)
		if text := m.utf8; m.text && !m.deflated && (!m.utf8.Write(p) || last && !m.utf8.Complete()) {
			m.utf8 = text
			m.unmask(rest, start, p)
			break
		}
		m.size += int64(len(p))
		m.frames++
		n, to = n+end, to+copy(b[to:], p)
		ev.Last, m.inMessage = last, !last
	}
	ev.Payload = b[from:to:to]
	return n
}

// finBit is the FIN bit, set in a message's last frame.
const finBit = 0x80

// The first bytes of messages that consist of one uncompressed frame.
const (
	finText   = finBit | byte(frame.Text)
	finBinary = finBit | byte(frame.Binary)
)
