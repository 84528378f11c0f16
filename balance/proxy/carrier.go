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
	loops *loop.Loops // nil on systems without event loops

	mu     sync.Mutex
	live   map[*Tunnel]struct{}
	closed bool
	wg     sync.WaitGroup
}

// NewCarrier returns a Carrier. On Linux it has event loops, one for each CPU that Go may use, which end with [Carrier.Close]. On
// other systems, and for connections other than sockets and TLS over a [loop.Under] of a socket, each tunnel has two goroutines.
func NewCarrier() *Carrier {
	c := &Carrier{live: map[*Tunnel]struct{}{}}
	if loops, err := loop.New(loop.Options{}); err == nil {
		c.loops = loops
	}
	return c
}

// TunnelOptions limit a Tunnel. The zero value means no limits.
type TunnelOptions struct {
	// Idle is how long a tunnel may last without a byte in either direction. Then it is closed as by Shut, with 1001 and
	// [ReasonIdle]. The pings of a peer count, but if Ping is set, pongs do not, so that the tunnel does not keep itself alive. 0
	// means no limit. If one side has ended its stream, the tunnel is cut after a minute without a byte, even if Idle is longer or
	// 0.
	Idle time.Duration

	// Ping is how long a side may be silent before the tunnel sends it a ping, between two frames. The pong is passed on to the
	// other side, which ignores it as an unsolicited pong (RFC 6455 §5.5.3). A side that has been silent for twice as long is
	// considered gone. The tunnel is then closed as by Shut, with 1001 and [ReasonSilent]; if the upstream is gone, the client gets
	// the result of Lost instead. No ping is sent after a close frame, after a side has ended its stream, or if the bytes are not
	// frames. A side with a full send buffer gets no ping, and is considered gone if it accepts no byte for that time. 0 means no
	// pings.
	Ping time.Duration

	// Lifetime is how long a tunnel may last. Then it is closed as by Shut, with 1001 and [ReasonLifetime]. Each tunnel's lifetime
	// is shorter by a random part, at most a tenth, so that clients that connected at the same time do not reconnect at the same
	// time. 0 means no limit.
	Lifetime time.Duration

	// Lost returns the close frame for the client if the upstream ends its stream without one, between two frames. The close frame
	// tells the client to reconnect. Data that the client still sends is discarded. nil means that the client's stream ends too.
	// Lost must not block or call the Tunnel.
	Lost func() (websocket.Code, string)

	// KeepAlive is set on both connections, if they are TCP and its Enable is set. Otherwise their setting is unchanged. A
	// [Balancer] uses it for clients only; for servers it uses the KeepAlive of DialerOptions.
	KeepAlive net.KeepAliveConfig
}

// Carry begins a tunnel between a client and an upstream, both after their handshake. early contains the bytes that the client has
// already sent, late those that the upstream has sent; they are copied. Either may be empty.
//
// From then on the tunnel owns both connections, and closes them. It calls done once after that, perhaps before Carry returns, with
// a [*websocket.CloseError]: the code and the reason of the first close frame that passed or that [Tunnel.Shut] inserted, 1006 if
// there was none. ByPeer is set if the client closed first. Err is the error that prevented the closing handshake. done may be nil;
// it must not block.
//
// If the Carrier is closed, the error is net.ErrClosed, and the connections are unchanged.
func (c *Carrier) Carry(cl, up net.Conn, early, late []byte, o TunnelOptions, done func(*Tunnel, error)) (*Tunnel, error) {
	if !c.reserve() {
		return nil, net.ErrClosed
	}
	of := [...]loopParts{client: partsOf(cl), upstream: partsOf(up)}
	o.setKeepAlive(of[client].socket)
	o.setKeepAlive(of[upstream].socket)
	if c.loops != nil {
		if toClient, toUpstream, err := c.loops.TakeBoth(of[client].socket, of[upstream].socket); err == nil {
			l := newLoopTunnel()
			l.mu.Lock()
			defer l.mu.Unlock()
			l.register(c, l)
			l.setUp(o, done)
			l.place(upstream, toUpstream, of[upstream].tls)
			l.place(client, toClient, of[client].tls)
			l.processBuffered(early, late)
			l.wake()
			return &l.Tunnel, nil
		}
	}
	p := &pumpTunnel{ends: [2]pumpEnd{{nc: cl}, {nc: up}}}
	p.tunnel.mu.Lock()
	defer p.tunnel.mu.Unlock()
	p.tunnel.register(c, p)
	p.tunnel.setUp(o, done)
	p.run(bytes.Clone(early), bytes.Clone(late))
	return &p.tunnel, nil
}

func (o *TunnelOptions) setKeepAlive(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok && o.KeepAlive.Enable {
		tcp.SetKeepAliveConfig(o.KeepAlive) //nolint:errcheck // if the connection is broken, its next read or write fails anyway
	}
}

// socket returns the connection that carries the bytes of a client's connection unchanged: nc, or, if nc takes the client's address
// from a PROXY protocol header, the connection below it.
func socket(nc net.Conn) net.Conn {
	if named, ok := nc.(interface{ Socket() net.Conn }); ok {
		return named.Socket()
	}
	return nc
}

// register adds t to c. The caller holds t.mu.
func (t *Tunnel) register(c *Carrier, d driver) {
	t.carrier, t.driver = c, d
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[t] = struct{}{}
	if c.closed { // c was closed after enter
		t.terminated, t.closeErr = true, closedNow()
	}
}

// setUp initializes t. The caller holds t.mu.
func (t *Tunnel) setUp(o TunnelOptions, done func(*Tunnel, error)) {
	t.done, t.since = done, time.Now().UnixNano()
	o = o.jittered()
	t.idle, t.ping, t.expires, t.lost = o.Idle, o.Ping, max(o.Lifetime, 0), o.Lost
}

// jittered returns o with a lifetime chosen at random for one connection.
func (o TunnelOptions) jittered() TunnelOptions {
	o.Lifetime -= rand.N(max(0, o.Lifetime/10) + 1)
	return o
}

// reserve counts a new tunnel. It returns false if c is closed.
func (c *Carrier) reserve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Add(1)
	}
	return !c.closed
}

// remove removes a tunnel that has ended.
func (c *Carrier) remove(t *Tunnel) {
	c.mu.Lock()
	delete(c.live, t)
	c.mu.Unlock()
	c.wg.Done()
}

// Len returns the number of tunnels.
func (c *Carrier) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live)
}

// Close ends all tunnels, without a close frame, and waits until they have ended. No tunnel can begin from then on.
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
		t.CloseNow() //nolint:errcheck // CloseNow always returns nil
	}
	c.wg.Wait()
	if c.loops != nil && !already {
		c.loops.Stop()
		c.loops.Wait()
	}
	return nil
}
