package reactor

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// Conn is one connection of a [Server]. All its methods may be called at once from anywhere, in a handler and out of it,
// and none of them waits for the peer.
//
// What is in it is what a waiting connection costs: its fields are ordered by size.
type Conn struct {
	m    protocol.Machine // its reading half belongs to the holder, its writing half to mu
	loop *loop
	sec  *secure // TLS; nil without. Set before the connection opens
	zip  *zipper // permessage-deflate; nil without. Set before the connection opens

	// What the holder owns: the goroutine that serves the connection at the moment, one at a time.
	msg  *buffer // what has arrived of a message, or of the request; nil when nothing waits for more
	rest *buffer // bytes that arrived and are not parsed, since the peer does not read; nil otherwise

	value any     // mu
	out   *buffer // mu: what is to be sent; nil when there is nothing
	cut   int     // mu: how much at the beginning of out belongs to a frame that the kernel has a part of
	end   *ending // mu: nil until the end begins
	mu    sync.Mutex
	stop  atomic.Uint32 // reasons not to deliver messages; set under mu
	alone atomic.Bool   // the large message that is delivered is the last that has arrived

	fd    int32
	slot  uint32 // its place in the loop
	birth uint32 // tells it from the one that had the place before

	// The loop's mu guards its place in the wheel.
	due, prev, next uint32

	controls    controls // the holder's
	subprotocol uint16   // one more than its index in the server's list; 0: none. Set before it opens
	armed       readiness
	phase       phase // mu
	stage       stage // the holder's
	quiet       uint8 // the holder's: looks in a row that found nothing heard
	heard       bool  // the holder's: bytes have arrived since keepalive last looked
	corked      bool  // mu: its holder flushes when it is done
	held        bool  // mu: its holder has lost the loop
	asked       bool  // mu: it stands in the loop's list of those that want to be looked at
	stuck       bool  // mu: the kernel takes nothing until it says so
}

// phase is how far a connection has come.
type phase uint8

const (
	opening   phase = iota // the request is not here yet, or not answered
	open                   // messages go both ways
	closing                // our close frame is made, the peer's has not come
	leaving                // all is said: the end comes when it is sent
	lingering              // the peer broke a rule and is told so; what it sends is thrown away until it has heard
	dead
)

// stage is how far a connection's beginning has come, as its holder sees it.
type stage uint8

const (
	asking  stage = iota // the request is not here yet, or not answered
	refused              // it was answered, and not with 101: what comes is thrown away
	untold               // the handshake was done elsewhere: Open is to be called
	told                 // Open was called
)

// The reasons of Conn.stop.
const (
	stopPaused uint32 = 1 << iota // too much waits to be sent
	stopEnding                    // the phase is beyond open
	stopNow                       // to be ended at once
)

// ending is what a connection needs when it ends.
type ending struct {
	begun *websocket.CloseError // how it is about to end; nil while nothing was said
	now   *websocket.CloseError // how it ends as soon as its holder sees it
	over  *websocket.CloseError // how it has ended
	werr  error                 // why nothing can be written any more
	half  bool                  // our direction is shut
}

// Subprotocol returns the subprotocol that was agreed on; "" is none.
func (c *Conn) Subprotocol() string {
	if c.subprotocol == 0 {
		return ""
	}
	return c.loop.s.Options.Subprotocols[c.subprotocol-1]
}

// SetValue keeps v with the connection, whatever the application wants to know of it.
func (c *Conn) SetValue(v any) {
	c.mu.Lock()
	c.value = v
	c.mu.Unlock()
}

// Value returns what SetValue was last given, and nil before.
func (c *Conn) Value() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// RemoteAddr returns the peer's address, as the kernel tells it: nothing is kept for it. It is nil when the connection
// is gone.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == dead {
		return nil
	}
	return c.loop.k.peer(int(c.fd))
}

// TLS returns the state of the TLS connection below, nil when there is none.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.sec == nil {
		return nil
	}
	state := c.sec.conn.ConnectionState()
	return &state
}

// Block says that the handler which calls it is going to wait: for a lock, for another server. The loop goes on at once
// without it, on another goroutine. It is for the connection that the handler was called for; on any other it does
// nothing. Without it the loop finds out by itself, after some milliseconds.
func (c *Conn) Block() {
	if d := c.loop.driver.Load(); d != nil {
		c.loop.takeOver(d, c, d.state.Load())
	}
}

// Err returns how the connection ended, a [*websocket.CloseError], and nil while it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil || c.end.over == nil {
		return nil
	}
	return c.end.over
}

// token is what the kernel gives back with c's events.
func (c *Conn) token() uint64 { return uint64(c.birth)<<32 | uint64(c.slot) }
