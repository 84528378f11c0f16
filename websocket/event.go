package websocket

import (
	"net"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// eventConn is a connection on the event loop, the server's end: it calls a Receiver, and is its Sender. It sees to what a visit
// of the loop is for: the opening handshake, what has arrived, keepalive, the end. One goroutine at a time is its holder, which
// the loop decides.
//
// Below it lie, each within the one above and without knowledge of it, eventInbox, which is the holder's, and eventOutbox
// and eventLink, which the lock of the descriptor guards. So they need no pointers to each other: this is what a waiting
// connection costs, 288 bytes without a gap.
type eventConn struct{ eventInbox }

var _ Sender = (*eventConn)(nil)

// eventKind is what many connections have in common. It is not changed once it is in use.
type eventKind struct {
	trail        // of an Endpoint's connections
	opts         connSettings
	compression  *Compression
	subprotocols []string
	open         func(Sender) Receiver
	panicked     func(value any, stack []byte)               // nil if it is not reported
	ended        func(remote func() string, err *CloseError) // nil: likewise
	left         func()                                      // called when a connection has ended, after its Receiver's Closed; may be nil
	front        *eventFront                                 // of connections whose opening handshake is the loop's; nil without
}

// eventFront is how the loop opens connections by itself.
type eventFront struct {
	rules       opening.Rules
	heads       opening.Limits
	headTimeout time.Duration
	refused     func(remote net.Addr, f *opening.Refusal, body string) // nil if it is not reported

	// roster is the Endpoint's. A connection is in it from its request on; nil without.
	roster *roster

	// other takes a connection over that asks for no WebSocket, with what it has sent, and what is left of the time for its
	// head. nil refuses such requests.
	other func(nc net.Conn, early []byte, left time.Duration)
}

// phase is how far a connection has come.
type phase uint8

const (
	phaseOpening   phase = iota // the request is not here yet, or not answered
	phaseOpen                   // messages go both ways
	phaseClosing                // our close frame is made, the peer's has not come
	phaseLeaving                // both close frames are made: what waits is sent
	phaseLingering              // what the peer sends is thrown away until it has read what it was sent
	phaseDead
)

// stage is how far a connection's beginning has come, as its holder sees it.
type stage uint8

const (
	stageAsking  stage = iota // the request is not here yet, or not answered
	stageRefused              // it was answered, and not with 101: what comes is thrown away
	stageUntold               // the handshake is done: the Receiver is to be opened
	stageTold                 // it was
)
