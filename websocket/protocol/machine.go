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
	None  Kind = iota // all bytes were used, and there is no event yet
	Data              // a piece of a message
	Ping              // a ping; its pong is in the output, unless Relay is set
	Pong              // a pong
	Close             // the peer's close frame; the answer is in the output, unless Relay is set
)

// String returns the name in lower case: "data".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

var kindNames = [...]string{"none", "data", "ping", "pong", "close"}

// Event is the result of one step. Payload is in the bytes given to Step, or in the Machine until the next step.
type Event struct {
	Kind       Kind
	Text       bool   // Data: the message is text
	First      bool   // Data: the message begins here
	Last       bool   // Data: the message ends here
	Compressed bool   // Data: the message has RSV1 set (RFC 7692 §6)
	Code       uint16 // Close: the status code, 1005 if there is none
	Payload    []byte // unmasked; of a Close: the reason
}

// Violation is a violated rule: the clause, the code for the close frame, and what the peer did.
type Violation struct {
	Section string // the clause: "RFC 6455 §5.1"
	Code    uint16 // of the close frame
	Detail  string // what the peer did
}

// Error returns what the peer did, and the clause that it violated.
func (v *Violation) Error() string { return v.Detail + " (" + v.Section + ")" }

// Machine is one end of a connection. Its two halves may be driven by two goroutines: Step and Pending by the reader, the Append
// methods and Closing by the holder of the driver's write lock. AppendOutput moves the output of the reading half to the writing
// half and requires both.
//
// The zero value is a server's end, without compression and limits. Client, Compressed, Relay and Limits are set before the first
// step. A Machine must not be copied after its first use.
type Machine struct {
	Client     bool    // this is the client's end: it masks the frames that it sends, and receives unmasked ones
	Compressed bool    // permessage-deflate was negotiated: RSV1 has a meaning
	Relay      bool    // pings and close frames are only events: the driver answers them, or passes them on
	Limits     *Limits // nil means no limits

	// The reading half.
	head      [frame.MaxHeader]byte // an incomplete header
	nhead     uint8
	inFrame   bool // a frame's payload is incomplete
	inMessage bool // a message's last frame has not arrived
	fin       bool // of the frame
	masked    bool
	text      bool // of the message
	deflated  bool
	told      bool // an event has contained the message's first bytes
	ended     bool // a close frame has arrived, or the peer violated a rule
	opcode    frame.Opcode
	key       [4]byte
	utf8      utf8x.Validator
	left      int64 // missing payload bytes of the frame
	size      int64 // bytes of the message announced so far
	frames    int
	ctl       []byte // an incomplete payload of a control frame; nil otherwise
	broken    *Violation
	replies   []reply

	// The writing half.
	fragmented bool // a message of ours has begun and not ended
	closing    bool // our close frame has been made: nothing may follow it
}

// reply is a control frame that the reading half requires.
type reply struct {
	opcode  frame.Opcode
	payload []byte
}

// Step parses received bytes, and returns at most one event and the number of bytes used. It unmasks in b, and joins fragments in
// b, so b must not be shared. Call it again with the rest while n < len(b); a call without bytes is harmless.
//
// An error is always a *Violation. It is final: each later step returns it again. The close frame for the peer is in the output.
// After a close frame, received bytes are ignored: Step uses them without an event.
//
// Step does not allocate, except for a control frame: its answer is kept, and so is an incomplete payload.
func (m *Machine) Step(b []byte) (ev Event, n int, err error) {
	if m.ended {
		if m.broken != nil {
			return Event{}, len(b), m.broken
		}
		return Event{}, len(b), nil // §5.5.1: data after a close frame is not looked at
	}
	if p, text, n := m.Whole(b); n > 0 {
		return Event{Kind: Data, Text: text, First: true, Last: true, Payload: p}, n, nil
	}
	for n < len(b) {
		if !m.inFrame {
			used, v := m.header(b[n:])
			n += used
			if v != nil {
				return Event{}, n, m.violate(v)
			}
			if !m.inFrame {
				return Event{}, n, nil
			}
		}
		k := min(int64(len(b)-n), m.left)
		piece := b[n:][:k:k] // a caller may append to the payload: the bytes after it are not the caller's
		n += len(piece)
		m.left -= int64(len(piece))
		if m.masked {
			m.key = frame.Mask(piece, m.key)
		}
		var v *Violation
		if m.opcode.Control() {
			ev, v = m.control(piece)
		} else {
			ev, v = m.data(piece)
		}
		if v != nil {
			return Event{}, n, m.violate(v)
		}
		if ev.Kind == Data && !ev.Last && m.left == 0 && n < len(b) {
			n = m.join(b, n, &ev)
		}
		if ev.Kind != None {
			return ev, n, nil
		}
	}
	return Event{}, n, nil
}

// header parses a frame's header from b, or the available part of it, and returns the bytes used. The Machine keeps an incomplete
// header: a waiting connection stores at most 14 bytes.
func (m *Machine) header(b []byte) (used int, v *Violation) {
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
	return used, m.begin(h)
}

// begin starts a frame whose header keeps the rules.
func (m *Machine) begin(h frame.Header) *Violation {
	m.inFrame = true
	m.fin, m.masked, m.opcode, m.key, m.left = h.Fin, h.Masked, h.Opcode, h.Key, h.Length
	if h.Opcode.Control() {
		return nil
	}
	if h.Opcode != frame.Continuation {
		m.inMessage, m.told, m.size, m.frames = true, false, 0, 0
		m.text = h.Opcode == frame.Text
		m.deflated = h.RSV&frame.RSV1 != 0
		m.utf8.Reset()
	}
	v := m.bound(h.Length)
	m.size += h.Length
	m.frames++
	return v
}

// bound checks a frame with this payload length against the limits of its message.
func (m *Machine) bound(length int64) *Violation {
	if m.Limits == nil {
		return nil
	}
	// The limits apply to announced lengths: a peer that announces a huge length gets the error before it sends the data. §10.4: an
	// implementation protects itself from frames and messages that are too large.
	if limit := m.Limits.MaxMessage; limit > 0 {
		if m.deflated {
			// Data that cannot be compressed gets longer; the driver limits the decompressed size.
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

// data handles a piece of a data frame's payload.
func (m *Machine) data(piece []byte) (Event, *Violation) {
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
	ev := Event{Kind: Data, Text: m.text, First: !m.told, Last: last, Compressed: m.deflated, Payload: piece}
	m.told = true
	return ev, nil
}

// Left returns the number of missing payload bytes of the current data frame; 0 between frames, in a control frame, and after the
// end of the reading half. These bytes are only payload, so a driver can read them directly to their destination.
func (m *Machine) Left() int64 {
	if m.ended || !m.inFrame || m.opcode.Control() {
		return 0
	}
	return m.left
}

// Inflated checks text that a driver has decompressed from the current message, piece by piece; last marks the final piece. An
// error is like Step's.
func (m *Machine) Inflated(p []byte, last bool) error {
	if !m.text {
		return nil
	}
	if !m.utf8.Write(p) || last && !m.utf8.Complete() {
		return m.Fail(violation("§8.1", codeInvalidData, "a compressed text message that is not UTF-8"))
	}
	return nil
}

// InMessage reports whether a message has begun and its last byte has not arrived.
func (m *Machine) InMessage() bool { return m.inMessage }

// Text reports whether the current message is text.
func (m *Machine) Text() bool { return m.text }

// Within returns the position in the stream at which the received bytes end, for the report on a broken connection. It is empty
// between messages and after the end of the reading half, when nothing is missing.
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

// Ended reports whether the peer's close frame has arrived, or the peer violated a rule: the reading half has nothing more to do.
func (m *Machine) Ended() bool { return m.ended }
