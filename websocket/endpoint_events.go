package websocket

import (
	"net"
	"slices"
	"sync"
)

// lazyLoops holds event loops that start with the first connection. The zero value is ready for use.
type lazyLoops struct {
	mu      sync.RWMutex
	ls      *eventLoops
	stopped bool // stop was called, or this system has no event loop
}

// get starts n loops, unless they are already running. It returns nil if there are no loops and none can be started.
func (z *lazyLoops) get(n int) *eventLoops {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.ls == nil && !z.stopped {
		ls, err := newEventLoops(n)
		z.ls, z.stopped = ls, err != nil
	}
	return z.ls
}

// use calls f with the loops, which do not stop during the call. It returns false if there are no loops.
func (z *lazyLoops) use(n int, f func(*eventLoops) bool) bool {
	if z.get(n) == nil {
		return false
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	return !z.stopped && f(z.ls)
}

// stop makes the loops stop when their last connection has ended, and waits for that if wait is set.
func (z *lazyLoops) stop(wait bool) {
	z.mu.Lock()
	if !z.stopped && z.ls != nil {
		z.ls.Stop()
	}
	z.stopped = true
	ls := z.ls
	z.mu.Unlock()
	if wait && ls != nil {
		ls.Wait()
	}
}

// each calls f for each connection.
func (z *lazyLoops) each(f func(*eventConn)) {
	z.mu.RLock()
	ls := z.ls
	z.mu.RUnlock()
	if ls != nil {
		ls.each(f)
	}
}

// serveOnLoop serves nc on an event loop, and reports whether a loop has taken it over. If so, the loop owns the connection. answer is
// sent to the client first; it is nil if the client has already received its 101 response.
func (t *reporter) serveOnLoop(nc net.Conn, x *service, early, answer []byte) bool {
	loops, n := &t.endpoint.loops, 0
	if t.server != nil {
		loops, n = &t.server.loops, t.server.Loops
	}
	return loops.use(n, func(ls *eventLoops) bool {
		k := t.endpoint.kindFor(t.server, x)
		k.count(1)
		a := upgradedConn{terms: x.terms, early: early, answer: answer}
		if x.ownOpen {
			a.open = x.open
		}
		c, err := ls.adopt(k, nc, a)
		if err != nil {
			k.count(-1)
			return false
		}
		if k.isClosing() { // a Shutdown that has begun does not see this connection
			c.Shut(CodeGoingAway, "") //nolint:errcheck // Shut fails only for an invalid code
		}
		return true
	})
}

// kindKey identifies connections of an Endpoint that share an eventKind.
type kindKey struct {
	server      *Server // nil means that a server of another package accepted the connections
	conn        ConnOptions
	subprotocol string // a subprotocol that an Admission has chosen and that is not in the Endpoint's list; "" for none
}

// maxKinds is the maximum number of kinds that an Endpoint keeps. Most Endpoints have few different Admission options.
const maxKinds = 64

// kindFor returns the kind for connections that are served on an event loop as x describes. Connections with equal options share a
// kind.
func (e *Endpoint) kindFor(s *Server, x *service) *eventKind {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := kindKey{server: s, conn: *x.conn}
	if p := x.terms.Subprotocol; !slices.Contains(x.rules.Subprotocols, p) {
		key.subprotocol = p
	}
	if k := e.kinds[key]; k != nil {
		return k
	}
	k := newEventKind(reporter{endpoint: e, server: s}, x)
	if key.subprotocol != "" {
		k.subprotocols = append(slices.Clone(k.subprotocols), key.subprotocol)
	}
	if e.kinds == nil {
		e.kinds, e.servers = map[kindKey]*eventKind{}, map[*Server]struct{}{}
	}
	if len(e.kinds) < maxKinds {
		e.kinds[key] = k
	}
	e.servers[s] = struct{}{}
	return k
}

func newEventKind(t reporter, x *service) *eventKind {
	k := &eventKind{
		reporter: t, opts: x.conn.settings(), compression: x.conn.Compression, subprotocols: x.rules.Subprotocols, open: t.endpoint.Open,
	}
	k.panicked, k.onClosed = k.reporter.panickedAt, func() { k.count(-1) }
	if t.endpoint.Ended != nil || t.server != nil && t.server.Ended != nil {
		k.ended = k.reporter.ended
	}
	return k
}

// rosters returns the rosters that count the connections of a kind from the moment they are accepted.
func (k *eventKind) rosters() (both [2]*roster) {
	if k.endpoint != nil && k.opening == nil { // if the loop performs the opening handshake, the connection joins the Endpoint's roster once its request has been read
		both[0] = &k.endpoint.roster
	}
	if k.server != nil {
		both[1] = &k.server.roster
	}
	return both
}

// count adds n connections, or removes them if n is negative.
func (k *eventKind) count(n int) {
	for _, r := range k.rosters() {
		if r == nil {
			continue
		}
		r.mu.Lock()
		if n > 0 {
			r.active++
		} else {
			r.done()
		}
		r.mu.Unlock()
	}
}

// isClosing reports whether the Endpoint or the Server is shutting down.
func (k *eventKind) isClosing() bool {
	for _, r := range k.rosters() {
		if r.isClosing() {
			return true
		}
	}
	return false
}

// eachEventConn calls f for the Endpoint's connections on event loops, both its own loops and those of the Servers that the connections
// arrived through. A connection that has not sent a request yet belongs to the Server.
func (e *Endpoint) eachEventConn(f func(Sender)) {
	e.mu.Lock()
	loops := []*lazyLoops{&e.loops}
	for s := range e.servers {
		if s != nil {
			loops = append(loops, &s.loops)
		}
	}
	e.mu.Unlock()
	for _, z := range loops {
		z.each(func(c *eventConn) {
			c.inbox.outbox.link.fd.Lock()
			opening := c.inbox.outbox.phase == phaseOpening
			c.inbox.outbox.link.fd.Unlock()
			if c.inbox.outbox.link.kind.endpoint == e && !opening {
				f(c)
			}
		})
	}
}
