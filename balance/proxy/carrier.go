package proxy

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/loop"
)

// Carrier carries tunnels. Its methods may be called from any goroutine. Make it with [NewCarrier].
type Carrier struct {
	loops *loop.Loops // nil where there is none

	mu     sync.Mutex
	live   map[*Tunnel]struct{}
	closed bool
	all    sync.WaitGroup
}

// NewCarrier returns a Carrier. It has event loops on Linux, one for each CPU that Go may use; they end with [Carrier.Close].
// Elsewhere, and for connections that are neither sockets nor TLS on a [loop.Under] of one, each tunnel has two goroutines.
func NewCarrier() *Carrier {
	c := &Carrier{live: map[*Tunnel]struct{}{}}
	if loops, err := loop.New(loop.Options{}); err == nil {
		c.loops = loops
	}
	return c
}

// TunnelOptions bound a Tunnel. The zero value bounds nothing.
type TunnelOptions struct {
	// Idle is how long a tunnel may pass no byte in either direction. Then it is closed as by Shut, with 1001 and [ReasonIdle]. The pings of
	// a peer count, but with Ping no pong does, so that the tunnel does not keep itself alive. 0 means no limit. A tunnel of which one side has
	// ended its stream is cut after a minute in any case.
	Idle time.Duration

	// Ping is how long a side may be silent: then the tunnel sends it a ping, between two frames. The pong passes on to the other side,
	// which takes it for an unsolicited one (RFC 6455 §5.5.3). A side that has been silent for twice as long is gone: the tunnel is closed as by
	// Shut, with 1001 and [ReasonSilent], or for the client with what Lost returns when the upstream is gone. There is no ping behind
	// a close frame, nor once a side has ended, nor where the bytes are not frames. To a side that takes no more bytes there is none either:
	// it is gone when it takes none for that long. 0 means no pings.
	Ping time.Duration

	// Lifetime is how long a tunnel may last. Then it is closed as by Shut, with 1001 and [ReasonLifetime]. Each tunnel gets up to a
	// tenth less, at random, so that those that began together do not end, and come back, together. 0 means no limit.
	Lifetime time.Duration

	// Lost returns the close frame for the client when the upstream's stream has ended without one, between two frames: the client
	// learns that it should come back. What the client still sends is discarded. nil means that the client's stream ends too. It
	// must not block, and not call the Tunnel.
	Lost func() (websocket.Code, string)

	// KeepAlive is set on both connections, where they are TCP, when its Enable is set. Otherwise they keep what they have. A
	// [Balancer] sets that of DialerOptions for servers, and this one for clients only.
	KeepAlive net.KeepAliveConfig
}

// Carry begins a tunnel between a client and an upstream, both behind their handshake. early is what the client has sent already,
// late what the upstream has; they are copied. Either may be empty.
//
// The tunnel owns both connections from then on, and closes them. It calls done once when it has, perhaps before Carry returns, with a
// [*websocket.CloseError]: the code and the reason of the first close frame that passed or that [Tunnel.Shut] put in, 1006 without one. ByPeer
// is set when the client was the first to close. Err is what prevented the closing handshake. done may be nil; it must not block.
//
// After an error, which is net.ErrClosed, the connections are as they were.
func (c *Carrier) Carry(cl, up net.Conn, early, late []byte, o TunnelOptions, done func(*Tunnel, error)) (*Tunnel, error) {
	if !c.enter() {
		return nil, net.ErrClosed
	}
	of := [...]taken{client: takes(cl), upstream: takes(up)}
	o.setKeepAlive(of[client].socket)
	o.setKeepAlive(of[upstream].socket)
	if c.loops != nil {
		if toClient, toUpstream, err := c.loops.TakeBoth(of[client].socket, of[upstream].socket); err == nil {
			l := newLooped()
			l.mu.Lock()
			defer l.mu.Unlock()
			l.enlist(c, l)
			l.setUp(o, done)
			l.place(upstream, toUpstream, of[upstream].sec)
			l.place(client, toClient, of[client].sec)
			l.join(early, late)
			l.nudge()
			return &l.Tunnel, nil
		}
	}
	p := &pumped{ends: [2]pumpEnd{{nc: cl}, {nc: up}}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enlist(c, p)
	p.setUp(o, done)
	p.run(bytes.Clone(early), bytes.Clone(late))
	return &p.Tunnel, nil
}

func (o *TunnelOptions) setKeepAlive(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok && o.KeepAlive.Enable {
		tcp.SetKeepAliveConfig(o.KeepAlive) //nolint:errcheck // a connection that is broken shows that soon
	}
}

// socket returns what a client's connection sends its bytes over as they are: nc, or the connection below one that has the client's
// address from a header of the PROXY protocol.
func socket(nc net.Conn) net.Conn {
	if named, ok := nc.(interface{ Socket() net.Conn }); ok {
		return named.Socket()
	}
	return nc
}

// enlist makes t one of c's. The caller holds t.mu.
func (t *Tunnel) enlist(c *Carrier, d driver) {
	t.carrier, t.driver = c, d
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[t] = struct{}{}
	if c.closed { // since enter
		t.over, t.how = true, closedNow()
	}
}

// setUp makes t ready. The caller holds t.mu.
func (t *Tunnel) setUp(o TunnelOptions, done func(*Tunnel, error)) {
	t.done, t.since = done, time.Now().UnixNano()
	o = o.jittered()
	t.idle, t.ping, t.expires, t.lost = o.Idle, o.Ping, max(o.Lifetime, 0), o.Lost
}

// jittered returns o with a lifetime of its own for one connection.
func (o TunnelOptions) jittered() TunnelOptions {
	o.Lifetime -= rand.N(max(0, o.Lifetime/10) + 1)
	return o
}

// enter counts a tunnel that is about to begin. It returns false when c is closed.
func (c *Carrier) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.all.Add(1)
	}
	return !c.closed
}

// left takes a tunnel out that is over.
func (c *Carrier) left(t *Tunnel) {
	c.mu.Lock()
	delete(c.live, t)
	c.mu.Unlock()
	c.all.Done()
}

// Len returns how many tunnels there are.
func (c *Carrier) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live)
}

// Close ends all tunnels, without a close frame, and waits until they are over. No tunnel can begin from then on.
func (c *Carrier) Close() error {
	c.mu.Lock()
	already := c.closed
	c.closed = true
	live := make([]*Tunnel, 0, len(c.live))
	for t := range c.live {
		live = append(live, t)
	}
	c.mu.Unlock()
	for _, t := range live {
		t.CloseNow() //nolint:errcheck // it returns nil
	}
	c.all.Wait()
	if c.loops != nil && !already {
		c.loops.Stop()
		c.loops.Wait()
	}
	return nil
}
