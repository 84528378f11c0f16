package websocket

import (
	"net"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// eventConn is a connection on the event loop, at the server: it calls a Receiver, and is its Sender. A visit of the loop handles
// the opening handshake, the received bytes, keepalive, and the end. One goroutine at a time is its holder, which the loop decides.
//
// It embeds, each in the one before and independent of it, eventInbox, which the holder owns, and eventOutbox and eventLink, which
// the lock of the descriptor guards. They need no pointers to each other: this is the size of a waiting connection, 288 bytes
// without a gap.
type eventConn struct{ eventInbox }

var _ Sender = (*eventConn)(nil)

// eventKind is what many connections have in common. It is not changed after its first use.
type eventKind struct {
	trail        // of an Endpoint's connections
	opts         connSettings
	compression  *Compression
	subprotocols []string
	open         func(Sender) Receiver
	panicked     func(value any, stack []byte)               // nil if it is not reported
	ended        func(remote func() string, err *CloseError) // nil if it is not reported
	left         func()                                      // called after a connection has ended and its Receiver's Closed has returned; may be nil
	front        *eventFront                                 // of connections whose opening handshake is done by the loop; nil otherwise
}

// eventFront is how the loop does opening handshakes.
type eventFront struct {
	rules       opening.Rules
	heads       opening.Limits
	headTimeout time.Duration
	refused     func(remote net.Addr, f *opening.Refusal, body string) // nil if it is not reported

	// roster is the Endpoint's. A connection joins it with its request; nil means none.
	roster *roster

	// other takes over a connection that does not request a WebSocket, with the bytes that it has sent and the time left for its
	// head. If nil, such requests are refused.
	other func(nc net.Conn, early []byte, left time.Duration)
}

// phase is the state of a connection.
type phase uint8

const (
	phaseOpening   phase = iota // the request is incomplete or not answered
	phaseOpen                   // messages are sent in both directions
	phaseClosing                // our close frame is made, the peer's has not arrived
	phaseLeaving                // both close frames are made; the queue is being sent
	phaseLingering              // received bytes are discarded until the peer has read what was sent
	phaseDead
)

// stage is the state of the opening handshake, as the holder sees it.
type stage uint8

const (
	stageAsking  stage = iota // the request is incomplete or not answered
	stageRefused              // the answer was not 101: received bytes are discarded
	stageUntold               // the handshake is done; the Receiver is still to be opened
	stageTold                 // the Receiver is open
)
