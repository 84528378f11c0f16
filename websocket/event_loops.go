package websocket

import (
	"crypto/tls"
	"net"

	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/loop"
)

// eventLoops holds the event loops of a Server or an Endpoint, with their connections.
type eventLoops struct{ *loop.Loops }

// newEventLoops starts n loops, or GOMAXPROCS loops if n is 0. If this system has no event loop, the error is an
// errors.ErrUnsupported.
func newEventLoops(n int) (*eventLoops, error) {
	ls, err := loop.New(loop.Options{Loops: n})
	if err != nil {
		return nil, err
	}
	return &eventLoops{ls}, nil
}

// upgradedConn is a connection whose opening handshake was performed elsewhere.
type upgradedConn struct {
	terms  opening.Terms
	open   func(Sender) Receiver // nil means the kind's function
	early  []byte                // bytes that the client has sent after its request; may be nil
	answer []byte                // bytes to send to the client first; may be nil
}

// adopt serves nc on an event loop with the settings k. It copies early and answer.
func (ls *eventLoops) adopt(k *eventKind, nc net.Conn, a upgradedConn) (*eventConn, error) {
	c := new(eventConn)
	c.inbox.outbox.link.kind, c.inbox.stage, c.inbox.outbox.phase = k, stageAccepted, phaseOpen
	c.inbox.outbox.link.agree(&a.terms)
	if a.open != nil {
		c.inbox.r = opener(a.open)
	}
	if len(a.early) > 0 {
		rest := borrow(len(a.early))
		rest.b = append(rest.b, a.early...)
		c.inbox.outbox.link.ensureMore().rest = rest
	}
	if len(a.answer) > 0 {
		c.inbox.outbox.out = borrow(2 * len(a.answer)) // has room for messages that Open sends, which are sent in the same write
		c.inbox.outbox.out.b = append(c.inbox.outbox.out.b, a.answer...)
		c.inbox.outbox.out.partialFrame = c.inbox.outbox.out.size() // drop must keep all of answer
	}
	return c, ls.register(c, nc)
}

// register moves c to a loop, and closes nc: the loop has its own descriptor for the socket. register accepts only a *net.TCPConn, a
// *net.UnixConn, a *transport.Accepted of one of these, and a *tls.Conn on such a *transport.Accepted. For any other connection the
// error is an errors.ErrUnsupported, and nc is unchanged.
func (ls *eventLoops) register(c *eventConn, nc net.Conn) error {
	below := nc
	var sec *loop.TLS
	if tlsConn, ok := nc.(*tls.Conn); ok {
		var err error
		if sec, _, err = loop.NewTLS(tlsConn); err != nil {
			return err
		}
		below = tlsConn.NetConn()
	}
	if a, ok := below.(*transport.Accepted); ok {
		below = a.Conn
		c.inbox.outbox.link.setRemote(a.Remote)
	}
	place, err := ls.Take(below)
	if err != nil {
		return err
	}
	if sec != nil {
		sec.On(&c.inbox.outbox.link.fd)
		c.inbox.outbox.link.ensureMore().sec = sec
	}
	c.inbox.outbox.link.m.Limits = &c.inbox.outbox.link.kind.opts.limits
	place.Add(&c.inbox.outbox.link.fd, c)
	c.inbox.outbox.link.fd.Lock()
	defer c.inbox.outbox.link.fd.Unlock()
	switch c.inbox.outbox.phase {
	case phaseOpen:
		c.keepAlive()
	case phaseOpening:
		c.inbox.outbox.link.fd.After(c.inbox.outbox.link.kind.opening.headTimeout)
	default: // another goroutine has begun to close the loops
	}
	c.inbox.outbox.link.fd.Wake()
	return nil
}

// listen makes a loop accept connections from l's socket, and perform their opening handshakes with k's opening settings, until stop is
// called. admit is called for each connection; it reports whether the connection is to be served, and must not block. For a listener
// that is neither a *net.TCPListener nor a *net.UnixListener the error is an errors.ErrUnsupported.
func (ls *eventLoops) listen(l net.Listener, k *eventKind, admit func() bool) (stop func(), err error) {
	return ls.Listen(l, func(p loop.Place) *loop.FD {
		return ls.accepted(p, k, admit)
	})
}

// accepted returns the eventConn for a socket that a listener has accepted.
func (ls *eventLoops) accepted(p loop.Place, k *eventKind, admit func() bool) *loop.FD {
	if !admit() {
		return nil
	}
	c := new(eventConn)
	c.inbox.outbox.link.kind = k
	c.inbox.outbox.link.m.Limits = &k.opts.limits
	p.Add(&c.inbox.outbox.link.fd, c)
	c.inbox.outbox.link.fd.After(k.opening.headTimeout)
	if k.isClosing() { // a Shutdown that has begun does not see this connection
		c.Shut(CodeGoingAway, "") //nolint:errcheck // Shut fails only for an invalid code
	}
	return &c.inbox.outbox.link.fd
}

// each calls f for every connection.
func (ls *eventLoops) each(f func(*eventConn)) {
	ls.Each(func(h loop.Handler) {
		if c, ok := h.(*eventConn); ok {
			f(c)
		}
	})
}
