package websocket

import (
	"context"
	"sync"
)

// roster is the set of connections that a Shutdown closes: those of an Endpoint, or those that arrived through a Server. The zero
// value is empty.
type roster struct {
	mu      sync.Mutex
	closing bool
	cutting bool // closing, without waiting for closing handshakes
	first   *member
	active  int           // the number of members and of handshakes in progress
	idle    chan struct{} // closed when closing is set and active is 0; created on the first wait
}

// member is a connection in up to two rosters. It contains its links, so that joining needs no allocation.
type member struct {
	conn  *Conn
	links [2]struct {
		roster     *roster
		prev, next *member
	}
}

// enter counts a new handshake. It returns false if the roster is closing.
func (r *roster) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.active++
	return true
}

// isClosing reports whether the roster accepts no more handshakes.
func (r *roster) isClosing() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}

// exit calls leave on a roster that may be nil.
func (r *roster) exit() {
	if r != nil {
		r.leave()
	}
}

// leave removes a handshake from the count.
func (r *roster) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done()
}

// done decrements the count. The caller holds mu.
func (r *roster) done() {
	if r.active--; r.active == 0 && r.closing && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// linkIndex returns the index in m.in of the links for r.
func (m *member) linkIndex(r *roster) int {
	if m.links[0].roster == r {
		return 0
	}
	return 1
}

// join adds c to r. If the roster is closing, c is closed.
func (m *member) join(c *Conn, r *roster) {
	m.conn = c
	r.mu.Lock()
	i := 0
	if m.links[0].roster != nil {
		i = 1
	}
	l := &m.links[i]
	l.roster, l.prev, l.next = r, nil, r.first
	if r.first != nil {
		r.first.links[r.first.linkIndex(r)].prev = m
	}
	r.first = m
	r.active++
	closing, cutting := r.closing, r.cutting
	r.mu.Unlock()
	switch {
	case cutting:
		c.CloseNow()
	case closing:
		c.Shut(CodeGoingAway, "") //nolint:errcheck // Shut fails only for an invalid code
	}
}

// leave removes m from its rosters.
func (m *member) leave() {
	for i := range m.links {
		l := &m.links[i]
		r := l.roster
		if r == nil {
			continue
		}
		r.mu.Lock()
		if l.prev != nil {
			l.prev.links[l.prev.linkIndex(r)].next = l.next
		} else {
			r.first = l.next
		}
		if l.next != nil {
			l.next.links[l.next.linkIndex(r)].prev = l.prev
		}
		r.done()
		r.mu.Unlock()
	}
}

// halt makes the roster reject new handshakes, and returns its connections.
func (r *roster) halt(cut bool) (conns []*Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closing, r.cutting = true, r.cutting || cut
	for m := r.first; m != nil; m = m.links[m.linkIndex(r)].next {
		conns = append(conns, m.conn)
	}
	return conns
}

// idleChan returns a channel that is closed when the roster is empty.
func (r *roster) idleChan() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	return r.idle
}

// shutdown closes the connections with CodeGoingAway, calls closeOthers unless it is nil, and waits until the roster is empty. It returns
// closeOthers's error. If ctx is done first, it cuts the remaining connections and returns ctx's error.
func (r *roster) shutdown(ctx context.Context, closeOthers func() error) error {
	for _, c := range r.halt(false) {
		c.Shut(CodeGoingAway, "") //nolint:errcheck // Shut fails only for an invalid code
	}
	var err error
	if closeOthers != nil {
		err = closeOthers()
	}
	select {
	case <-r.idleChan():
		return err
	default:
	}
	select {
	case <-r.idleChan():
		return err
	case <-ctx.Done():
		r.cut()
		return ctx.Err()
	}
}

// cut ends all connections immediately.
func (r *roster) cut() {
	for _, c := range r.halt(true) {
		c.CloseNow()
	}
}
