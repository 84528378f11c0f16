package websocket

import (
	"net"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// eventConn is a server connection on the event loop: it calls a Receiver, and is its Sender. A visit of the loop handles the
// opening handshake, the received bytes, keepalive, and the end. One goroutine at a time, chosen by the loop, holds the connection.
//
// eventConn contains eventInbox, which contains eventOutbox, which contains eventLink; none depends on the struct that contains it. The
// holder owns eventInbox, and the descriptor's lock guards the other two. Because they need no pointers to each other, a waiting
// connection takes 288 bytes, without padding.
type eventConn struct{ inbox eventInbox }

var _ Sender = (*eventConn)(nil)

func (c *eventConn) Send(m Message) error                { return c.inbox.outbox.Send(m) }
func (c *eventConn) SendPrepared(ps ...*Prepared) error  { return c.inbox.outbox.SendPrepared(ps...) }
func (c *eventConn) Buffered() int                       { return c.inbox.outbox.Buffered() }
func (c *eventConn) Shut(code Code, reason string) error { return c.inbox.outbox.Shut(code, reason) }
func (c *eventConn) CloseNow() error                     { return c.inbox.outbox.CloseNow() }
func (c *eventConn) Subprotocol() string                 { return c.inbox.outbox.link.Subprotocol() }
func (c *eventConn) RemoteAddr() net.Addr                { return c.inbox.outbox.link.RemoteAddr() }

// eventKind holds the settings that many connections share. It is not changed after its first use.
type eventKind struct {
	reporter     // how the connections arrived, and so which hooks apply
	opts         connSettings
	compression  *Compression
	subprotocols []string
	open         func(Sender) Receiver
	panicked     func(value any, stack []byte)               // nil means that panics are not reported
	ended        func(remote func() string, err *CloseError) // nil means that ends are not reported
	onClosed     func()                                      // called after a connection has ended and its Receiver's Closed has returned; may be nil
	opening      *eventOpening                               // nil unless the loop performs the opening handshakes
}

// eventOpening holds the settings for opening handshakes that the loop performs.
type eventOpening struct {
	rules       opening.Rules
	headLimits  opening.Limits
	headTimeout time.Duration
	refused     func(remote net.Addr, f *opening.Refusal, body string) // nil means that refusals are not reported

	// roster is the Endpoint's roster. A connection joins the roster when its request has arrived. nil means no roster.
	roster *roster

	// handOver takes over a connection whose request is not a WebSocket upgrade, with the bytes that it has sent and the time left for
	// its head. If nil, such requests are refused.
	handOver func(nc net.Conn, early []byte, left time.Duration)
}

// phase is the state of a connection.
type phase uint8

const (
	phaseOpening   phase = iota // the request is incomplete or not answered
	phaseOpen                   // messages are sent in both directions
	phaseClosing                // our close frame is made, and the peer's has not arrived
	phaseLeaving                // both close frames are made; the queue is being sent
	phaseLingering              // received bytes are discarded until the peer has read the sent data
	phaseDead
)

// stage is the state of the opening handshake as seen by the holder.
type stage uint8

const (
	stageRequest  stage = iota // the request is incomplete or not answered
	stageRefused               // the response was not 101: received bytes are discarded
	stageAccepted              // the handshake is done; the Receiver is still to be opened
	stageOpen                  // the Receiver is open
)
