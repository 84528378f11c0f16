package proxy

import (
	"cmp"
	"slices"
	"sync"

	"github.com/handfast/handfast/balance"
)

// members are the connections that are open, by the ID of their server, and what is counted for that server.
type members struct {
	mu sync.Mutex
	by map[string]*group
}

// group is one server's.
type group struct {
	live map[*Conn]struct{}
	sum  Counts // of connections that have ended, and of handshakes
}

// Counts is what a Balancer has counted for a server since it knows it.
type Counts struct {
	Opened      uint64 `json:"opened"`       // connections
	Failed      uint64 `json:"failed"`       // handshakes that the server has failed
	FromClients int64  `json:"from_clients"` // bytes, of connections
	FromServer  int64  `json:"from_server"`  // the same
}

// of returns the group of a server. The caller holds mu.
func (m *members) of(id string) *group {
	g := m.by[id]
	if g == nil {
		g = &group{live: map[*Conn]struct{}{}}
		m.by[id] = g
	}
	return g
}

func (m *members) add(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.of(c.Server())
	g.live[c] = struct{}{}
	g.sum.Opened++
}

// remove takes one out that has ended.
func (m *members) remove(c *Conn) {
	in, out := c.bytes()
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.of(c.Server())
	delete(g.live, c)
	g.sum.FromClients += in
	g.sum.FromServer += out
}

func (m *members) failed(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(id).sum.Failed++
}

// keep forgets the servers that are not in a list and have no connections.
func (m *members) keep(list []balance.Spec) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, g := range m.by {
		if len(g.live) == 0 && !slices.ContainsFunc(list, func(s balance.Spec) bool { return s.ID == id }) {
			delete(m.by, id)
		}
	}
}

// counts returns what is counted for a server.
func (m *members) counts(id string) Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.by[id]
	if g == nil {
		return Counts{}
	}
	n := g.sum
	for c := range g.live {
		in, out := c.bytes()
		n.FromClients += in
		n.FromServer += out
	}
	return n
}

// all returns every connection.
func (m *members) all() (list []*Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.by {
		for c := range g.live {
			list = append(list, c)
		}
	}
	return list
}

// movable returns the connections of a server that can be moved, and how many are on their way. For a drain these are all, in any order;
// otherwise those that the server does not want to stay, and the oldest is the first.
func (m *members) movable(id string, drain bool) (list []*Conn, leaving int) {
	m.mu.Lock()
	if g := m.by[id]; g != nil {
		for c := range g.live {
			switch {
			case c.moved.Load():
				leaving++
			case drain || !c.stays:
				list = append(list, c)
			}
		}
	}
	m.mu.Unlock()
	if !drain {
		slices.SortFunc(list, func(a, b *Conn) int { return cmp.Compare(a.number, b.number) })
	}
	return list, leaving
}
