package websocket

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// waiting is the set of connections that have not sent a complete request: in their handshake, or between two requests for pages.
// They take memory before their clients have sent a request, so their number is bounded. If there are too many, one is cut: the
// oldest connection of the address that has the most. A client that opens thousands of connections and sends a byte per second on
// each loses its own connections, while a new client's handshake continues.
type waiting struct {
	mu     sync.Mutex
	n      int
	groups map[netip.Addr]*group
	ranks  []rank // the groups by their number of members; ranks[0] is not used
	top    int    // the highest rank that has a group
	spare  *group // groups without members, for reuse
}

// rank is the list of groups that have the same number of members, in the order in which they reached that number: among clients
// with one connection each, the oldest connection is in the first group.
type rank struct{ first, last *group }

// group is the list of an address's connections, the oldest first.
type group struct {
	key         netip.Addr
	n           int
	first, last *waiter
	prev, next  *group // the neighbors in the rank
}

// waiter is a connection's element of the set.
type waiter struct {
	group      *group // nil if the waiter is not in the set
	prev, next *waiter
	ctx        context.Context // the context of the connection
	nc         net.Conn
	remote     net.Addr
	evicted    bool
	reported   bool // the connection was reported as refused, for another reason
	left       bool // leave was called
}

// groupOf returns the key of the group that an address belongs to. An IPv6 client usually has at least a whole /64 network, so the
// addresses of one network share a group.
func groupOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := t.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64) // cannot fail: an IPv6 address has 128 bits
		return p.Addr()
	}
	return addr
}

// add adds m to the set. If the set now has more members than limit, add returns a copy of the waiter to cut, and otherwise
// the zero waiter.
func (w *waiting) add(m *waiter, limit int) (cut waiter) {
	key := groupOf(m.remote)
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.group != nil || m.evicted || m.left {
		return cut
	}
	g := w.groups[key]
	if g == nil {
		g = w.newGroup(key)
	}
	m.group, m.prev, m.next = g, g.last, nil
	if g.last != nil {
		g.last.next = m
	} else {
		g.first = m
	}
	g.last = m
	w.n++
	w.updateRank(g, 1)
	if w.n <= limit {
		return cut
	}
	victim := w.ranks[w.top].first.first
	victim.evicted = true
	w.unlink(victim)
	return *victim
}

// len returns the number of members.
func (w *waiting) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// remove removes m from the set, if it is a member. It reports whether m had not been evicted before.
func (w *waiting) remove(m *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.group != nil {
		w.unlink(m)
	}
	return !m.evicted
}

// leave removes m permanently.
func (w *waiting) leave(m *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.left = true
	if m.group != nil {
		w.unlink(m)
	}
	return !m.evicted
}

// report marks m as reported. It returns false when m was evicted or has already been reported, so that a refusal is reported only
// once.
func (w *waiting) report(m *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !m.evicted && !m.reported
	m.reported = true
	return first
}

func (w *waiting) unlink(m *waiter) {
	g := m.group
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		g.first = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	} else {
		g.last = m.prev
	}
	m.group, m.prev, m.next = nil, nil, nil
	w.n--
	w.updateRank(g, -1)
}

func (w *waiting) newGroup(key netip.Addr) *group {
	g := w.spare
	if g == nil {
		g = new(group)
	} else {
		w.spare, g.next = g.next, nil
	}
	g.key = key
	if w.groups == nil {
		w.groups = map[netip.Addr]*group{}
		w.ranks = make([]rank, 1)
	}
	w.groups[key] = g
	return g
}

// updateRank moves g to its new rank after a member was added or removed.
func (w *waiting) updateRank(g *group, by int) {
	if g.n > 0 {
		r := &w.ranks[g.n]
		if g.prev != nil {
			g.prev.next = g.next
		} else {
			r.first = g.next
		}
		if g.next != nil {
			g.next.prev = g.prev
		} else {
			r.last = g.prev
		}
	}
	g.n += by
	g.prev, g.next = nil, nil
	if g.n == 0 {
		delete(w.groups, g.key)
		g.next, w.spare = w.spare, g
	} else {
		if g.n == len(w.ranks) {
			w.ranks = append(w.ranks, rank{})
		}
		r := &w.ranks[g.n]
		if g.prev = r.last; g.prev != nil {
			g.prev.next = g
		} else {
			r.first = g
		}
		r.last = g
	}
	w.top = max(w.top, g.n)
	for w.top > 0 && w.ranks[w.top].first == nil {
		w.top--
	}
}
