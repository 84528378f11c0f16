package protocol

import (
	"math"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/utf8x"
)

// Limits are the limits on the messages of a peer. One value may serve any number of Machines.
type Limits struct {
	MaxMessage int64 // bytes on the wire of one message; 0 means no limit
	Fragments  int   // frames of one message; 0 means no limit
}

// Kind is the kind of an Event.
type Kind uint8

// The kinds of events.
const (
	None  Kind = iota // all bytes were consumed without completing an event
	Data              // a part of a message
	Ping              // a ping; its pong is in the output, unless Relay is set
	Pong              // a pong
	Close             // the peer's close frame; the reply is in the output, unless Relay is set
)

// String returns the name in lower case: "data".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

var kindNames = [...]string{"none", "data", "ping", "pong", "close"}

// Event is the result of one step. Payload is part of the bytes passed to Step, or of the Machine's memory until the next step.
type Event struct {
	Kind       Kind
	Text       bool   // Data: the message is text
	First      bool   // Data: first part of the message
	Last       bool   // Data: last part of the message
	Compressed bool   // Data: the message has RSV1 set (RFC 7692 §6)
	Code       uint16 // Close: the status code, 1005 if there is none
	Payload    []byte // unmasked; for Close: the reason
}

// Violation is a violated rule: the clause, the code for the close frame, and what the peer did.
type Violation struct {
	Section string // the clause: "RFC 6455 §5.1"
	Code    uint16 // the code for the close frame
	Detail  string // what the peer did
}

// Error returns what the peer did, and the clause that it violated.
func (v *Violation) Error() string { return v.Detail + " (" + v.Section + ")" }

// Machine is one end of a connection. Two goroutines may use its two halves: the reader calls Step and Pending, and the holder of
// the driver's write lock calls the Append methods and Closing. AppendOutput moves the output of the reading half to the writing
// half and requires both.
//
// The zero value is a server without compression and limits. Client, Compressed, Relay and Limits must be set before the first
// step. A Machine must not be copied after its first use.
type Machine struct {
	Client     bool    // this end is the client: it masks the frames that it sends, and receives unmasked ones
	Compressed bool    // permessage-deflate was negotiated: RSV1 has a meaning
	Relay      bool    // pings and close frames are only events: the driver replies to them, or passes them on
	Limits     *Limits // nil means no limits

	// The fields of the reading half.
	head           [frame.MaxHeader]byte // an incomplete header
	nhead          uint8
	inFrame        bool // the payload of the current frame is incomplete
	inMessage      bool // the last frame of the current message has not arrived
	fin            bool // FIN bit of the current frame
	masked         bool
	text           bool // the current message is text
	deflated       bool
	messageBegun   bool // the first Data event of the message has been returned
	ended          bool // a close frame has arrived, or the peer violated a rule
	opcode         frame.Opcode
	key            [4]byte
	utf8           utf8x.Validator
	left           int64 // number of missing payload bytes of the current frame
	size           int64 // number of bytes of the message announced so far
	frames         int
	controlPayload []byte // incomplete payload of a control frame; otherwise nil
	violation      *Violation
	replies        []reply

	// The fields of the writing half.
	fragmented bool // one of our messages has begun but not ended
	closing    bool // our close frame has been made, after which no frame may be sent
}

// reply is a control frame that the reading half requires.
type reply struct {
	opcode  frame.Opcode
	payload []byte
}

// Step parses received bytes, and returns at most one event and the number of bytes used. It unmasks and joins fragments in place,
// so b must not be shared. Call it again with the rest while n < len(b). A call without bytes has no effect.
//
// An error is always a *Violation. It is final: each later step returns it again. The output contains the close frame for the peer.
// After a close frame, received bytes are ignored: Step uses them without an event.
//
// Step does not allocate, except for a control frame, whose reply or incomplete payload must be stored.
func (m *Machine) Step(b []byte) (ev Event, n int, err error) {
	if m.ended {
		if m.violation != nil {
			return Event{}, len(b), m.violation
		}
		return Event{}, len(b), nil // §5.5.1: data after a close frame is not processed
	}
	if p, text, n := m.Whole(b); n > 0 {
		return Event{Kind: Data, Text: text, First: true, Last: true, Payload: p}, n, nil
	}
	for n < len(b) {
		if !m.inFrame {
			used, v := m.parseHeader(b[n:])
			n += used
			if v != nil {
				return Event{}, n, m.fail(v)
			}
			if !m.inFrame {
				return Event{}, n, nil
			}
		}
		k := min(int64(len(b)-n), m.left)
		piece := b[n:][:k:k] // limits the capacity: a caller may append to the payload, but does not own the bytes after it
		n += len(piece)
		m.left -= int64(len(piece))
		if m.masked {
			m.key = frame.Mask(piece, m.key)
		}
		var v *Violation
		if m.opcode.Control() {
			ev, v = m.handleControl(piece)
		} else {
			ev, v = m.handleData(piece)
		}
		if v != nil {
			return Event{}, n, m.fail(v)
		}
		if ev.Kind == Data && !ev.Last && m.left == 0 && n < len(b) {
			n = m.joinFragments(b, n, &ev)
		}
		if ev.Kind != None {
			return ev, n, nil
		}
	}
	return Event{}, n, nil
}

// parseHeader parses a frame's header from b, or its available part, and returns the number of bytes used. The Machine stores an
// incomplete header: a waiting connection stores at most 14 bytes.
func (m *Machine) parseHeader(b []byte) (used int, v *Violation) {
	head := b
	if m.nhead > 0 {
		used = copy(m.head[m.nhead:], b)
		head = m.head[:int(m.nhead)+used]
	}
	if len(head) >= 2 {
		if v := m.check(head[0], head[1]); v != nil {
			return used, v
		}
	}
	h, size, err := frame.Parse(head)
	if err != nil {
		return used, lengthViolation(err)
	}
	if size == 0 {
		if m.nhead == 0 {
			used = copy(m.head[:], b)
		}
		m.nhead = uint8(len(head))
		return used, nil
	}
	used = size - int(m.nhead)
	m.nhead = 0
	return used, m.beginFrame(h)
}

// beginFrame starts a frame whose header follows the rules.
func (m *Machine) beginFrame(h frame.Header) *Violation {
	m.inFrame = true
	m.fin, m.masked, m.opcode, m.key, m.left = h.Fin, h.Masked, h.Opcode, h.Key, h.Length
	if h.Opcode.Control() {
		return nil
	}
	if h.Opcode != frame.Continuation {
		m.inMessage, m.messageBegun, m.size, m.frames = true, false, 0, 0
		m.text = h.Opcode == frame.Text
		m.deflated = h.RSV&frame.RSV1 != 0
		m.utf8.Reset()
	}
	v := m.checkLimits(h.Length)
	m.size += h.Length
	m.frames++
	return v
}

// checkLimits checks a frame with this payload length against the limits of its message.
func (m *Machine) checkLimits(length int64) *Violation {
	if m.Limits == nil {
		return nil
	}
	// The limits apply to announced lengths, so that a message that is too long is rejected before its data has arrived. §10.4: an
	// implementation protects itself from frames and messages that are too large.
	if limit := m.Limits.MaxMessage; limit > 0 {
		if m.deflated {
			// Incompressible data becomes longer when it is compressed. The driver limits the decompressed size.
			limit += min(limit/8+1024, math.MaxInt64-limit)
		}
		if length > limit-m.size {
			return violation("§10.4", codeTooBig, "a message larger than the limit")
		}
	}
	if limit := m.Limits.Fragments; limit > 0 && m.frames >= limit {
		return violation("§10.4", codePolicy, "a message with more fragments than the limit")
	}
	return nil
}

// handleData handles a part of a data frame's payload.
func (m *Machine) handleData(piece []byte) (Event, *Violation) {
	frameEnds := m.left == 0
	last := frameEnds && m.fin
	if m.text && !m.deflated { // the text of a compressed message is checked after decompression
		// §8.1: bytes that are not UTF-8 fail the connection.
		if !m.utf8.Write(piece) {
			return Event{}, violation("§8.1", codeInvalidData, "a text message with bytes that are not UTF-8")
		}
		if last && !m.utf8.Complete() {
			return Event{}, violation("§8.1", codeInvalidData, "a text message that ends inside a character")
		}
	}
	if frameEnds {
		m.inFrame = false
	}
	if last {
		m.inMessage = false
	}
	if len(piece) == 0 && !last {
		return Event{}, nil
	}
	ev := Event{Kind: Data, Text: m.text, First: !m.messageBegun, Last: last, Compressed: m.deflated, Payload: piece}
	m.messageBegun = true
	return ev, nil
}

// Left returns the number of missing payload bytes of the current data frame. It returns 0 between frames, in a control frame, and
// after the end of the reading half. The missing bytes consist only of payload, so a driver can read them directly into their
// destination.
func (m *Machine) Left() int64 {
	if m.ended || !m.inFrame || m.opcode.Control() {
		return 0
	}
	return m.left
}

// Inflated checks text that a driver has decompressed from the current message, part by part. last marks the final part. An error is a
// *Violation, as from Step.
func (m *Machine) Inflated(p []byte, last bool) error {
	if !m.text {
		return nil
	}
	if !m.utf8.Write(p) || last && !m.utf8.Complete() {
		return m.Fail(violation("§8.1", codeInvalidData, "a compressed text message that is not UTF-8"))
	}
	return nil
}

// InMessage reports whether the current message is incomplete.
func (m *Machine) InMessage() bool { return m.inMessage }

// Text reports whether the current message is text.
func (m *Machine) Text() bool { return m.text }

// Within describes the position in the stream at which the received bytes end, for the error of a broken connection. It returns ""
// between messages, and after the end of the reading half, when nothing is missing.
func (m *Machine) Within() string {
	switch {
	case m.ended:
		return ""
	case m.nhead > 0:
		return "inside a frame's header"
	case m.inFrame:
		return "inside a " + m.opcode.String() + " frame"
	case m.inMessage:
		return "between the fragments of a message"
	}
	return ""
}

// Ended reports whether the peer's close frame has arrived, or the peer violated a rule. In both cases the reading half is
// finished.
func (m *Machine) Ended() bool { return m.ended }
