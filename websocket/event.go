package websocket

import (
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

// eventConn is a connection on the event loop, the server's end: it calls a Receiver, and is its Sender. One goroutine at a
// time is its holder, which the loop decides; all else is guarded by the lock of fd, under which writes are made that do not
// wait.
//
// It is what a waiting connection costs: its fields are ordered by size.
type eventConn struct {
	fd   loop.FD
	m    protocol.Machine // its reading half belongs to the holder, its writing half to the lock
	kind *eventKind
	more *eventMore // set before the connection opens, or by the holder under the lock; nil when there is nothing of it

	// The holder's.
	r   Receiver
	msg *buffer // what has arrived of a message, or of the request; nil when nothing waits for more

	out   *buffer       // the lock: what is to be sent; nil when there is nothing
	end   *ending       // the lock: nil until the end begins
	stop  atomic.Uint32 // reasons not to deliver messages; set under the lock
	alone atomic.Bool   // the large message that is delivered is the last that has arrived

	second      uint32    // the holder's: when the control frames of a second were first counted, see tooMany
	controls    uint16    // the holder's: how many there were
	subprotocol uint16    // one more than its index in the kind's list; 0: none. Set before it opens
	peer        peerWatch // the holder's
	stage       stage     // the holder's
	phase       phase     // the lock
	corked      bool      // the lock: its holder flushes when it is done
	stuck       bool      // the lock: the kernel takes nothing until it says so
	tight       bool      // the lock: the queue has refused a message, or was more than half full, since it was last empty
	heard       bool      // the holder's: bytes have arrived since keepalive last looked
}

var _ Sender = (*eventConn)(nil)

// eventMore is what some connections have and most have not.
type eventMore struct {
	sec         *eventTLS // TLS; nil without
	zip         *zipper   // permessage-deflate; nil without
	rest        *buffer   // the holder's: bytes that arrived and are not parsed, since the peer does not read; nil otherwise
	remote      net.Addr  // the client's, where a proxy has named it; nil: the socket's
	subprotocol string    // one that is not in the kind's list
	drained     func()    // of the Receiver; nil without
	unsent      int       // what the kernel had not sent when keepalive last looked
}

// eventKind is what many connections have in common. It is not changed once it is in use.
type eventKind struct {
	trail        // of an Endpoint's connections
	opts         connSettings
	compression  *Compression
	subprotocols []string
	open         func(Sender) Receiver
	panicked     func(value any, stack []byte)               // nil: it is not reported
	ended        func(remote func() string, err *CloseError) // nil: likewise
	left         func()                                      // called when a connection has ended, after its Receiver's Closed; may be nil
	front        *eventFront                                 // of connections whose opening handshake is the loop's; nil without
}

// eventFront is how the loop opens connections by itself.
type eventFront struct {
	rules       opening.Rules
	heads       opening.Limits
	headTimeout time.Duration
	refused     func(remote net.Addr, f *opening.Refusal, body string) // nil: it is not reported

	// roster is the Endpoint's. A connection is in it from its request on; nil without.
	roster *roster

	// other takes a connection over that asks for no WebSocket, with what it has sent. nil refuses such requests.
	other func(nc net.Conn, early []byte)
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

// The reasons of eventConn.stop.
const (
	stopPaused uint32 = 1 << iota // too much waits to be sent
	stopEnding                    // the phase is beyond open
	stopNow                       // to be ended at once
)

// ending is what a connection needs when it ends.
type ending struct {
	begun *CloseError // how it is about to end; nil while nothing was said
	now   *CloseError // how it ends as soon as its holder sees it
	over  *CloseError // how it has ended
	cause error       // why this end began it
	werr  error       // why nothing can be written any more
	half  bool        // our direction is shut

	remote net.Addr // of the peer, once it has ended
}

// sec returns the TLS below, nil without.
func (c *eventConn) sec() *eventTLS {
	if c.more == nil {
		return nil
	}
	return c.more.sec
}

// zip returns the compression, nil without.
func (c *eventConn) zip() *zipper {
	if c.more == nil {
		return nil
	}
	return c.more.zip
}

// rest returns what has arrived and is not parsed, nil for nothing.
func (c *eventConn) rest() *buffer {
	if c.more == nil {
		return nil
	}
	return c.more.rest
}

// extra returns c.more, which it makes if there is none.
func (c *eventConn) extra() *eventMore {
	if c.more == nil {
		c.more = new(eventMore)
	}
	return c.more
}

// agree notes the subprotocol and the compression that the opening handshake has agreed on.
func (c *eventConn) agree(t *opening.Terms) {
	if c.subprotocol = uint16(slices.Index(c.kind.subprotocols, t.Subprotocol) + 1); c.subprotocol == 0 && t.Subprotocol != "" {
		c.extra().subprotocol = t.Subprotocol
	}
	if t.Compressed {
		c.extra().zip = newZipper(t.Deflate, c.kind.compression)
		c.m.Compressed = true
	}
}

// named notes the client's address where a proxy has named it.
func (c *eventConn) named(remote net.Addr) {
	if remote != nil {
		c.extra().remote = remote
	}
}

// Subprotocol implements [Sender].
func (c *eventConn) Subprotocol() string {
	c.fd.Lock()
	defer c.fd.Unlock()
	switch {
	case c.subprotocol > 0:
		return c.kind.subprotocols[c.subprotocol-1]
	case c.more != nil:
		return c.more.subprotocol
	}
	return ""
}

// RemoteAddr implements [Sender]. Nothing is kept for it: the kernel knows the address of a connection that has not ended.
func (c *eventConn) RemoteAddr() net.Addr {
	c.fd.Lock()
	defer c.fd.Unlock()
	return c.remoteLocked()
}

func (c *eventConn) remoteLocked() net.Addr {
	switch {
	case c.more != nil && c.more.remote != nil:
		return c.more.remote
	case c.end != nil && c.end.remote != nil:
		return c.end.remote
	}
	if a := c.fd.Peer(); a != nil {
		return a
	}
	return noAddr{}
}

// Buffered implements [Sender].
func (c *eventConn) Buffered() int {
	c.fd.Lock()
	defer c.fd.Unlock()
	return c.queued()
}
