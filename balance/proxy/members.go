package proxy

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/websocket"
)

// members are the open connections by the ID of their server, and the counts of each server.
type members struct {
	mu       sync.Mutex
	byServer map[string]*group
}

// group has the connections and counts of one server.
type group struct {
	live  map[*Conn]struct{}
	total Counts // counts of ended connections and of handshakes
}

// Counts are the counts of a server since the Balancer has known it.
type Counts struct {
	Opened  uint64                    `json:"opened"`            // connections, including those that were moved here
	Failed  uint64                    `json:"failed"`            // failed handshakes and HTTP requests, and connections ended early
	Resumed uint64                    `json:"resumed,omitempty"` // connections that have continued here, unnoticed by the client
	Closed  map[websocket.Code]uint64 `json:"closed,omitempty"`  // ended connections by close code
	Traffic
}

// Traffic is the traffic on connections to a server.
type Traffic struct {
	FromClients         int64  `json:"from_clients"`                    // bytes; if messages are carried, bytes of their payloads
	FromServer          int64  `json:"from_server"`                     // as FromClients
	MessagesFromClients uint64 `json:"messages_from_clients,omitempty"` // only if messages are carried
	MessagesFromServer  uint64 `json:"messages_from_server,omitempty"`  // as MessagesFromClients
}

func (t *Traffic) add(o Traffic) {
	t.FromClients += o.FromClients
	t.FromServer += o.FromServer
	t.MessagesFromClients += o.MessagesFromClients
	t.MessagesFromServer += o.MessagesFromServer
}

// group returns the group of a server. The caller holds mu.
func (m *members) group(id string) *group {
	g := m.byServer[id]
	if g == nil {
		g = &group{live: map[*Conn]struct{}{}}
		m.byServer[id] = g
	}
	return g
}

func (m *members) add(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.group(c.Server())
	g.live[c] = struct{}{}
	g.total.Opened++
}

// remove removes a connection that has ended, and counts how it ended.
func (m *members) remove(c *Conn, how error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.group(c.Server())
	delete(g.live, c)
	g.total.Traffic.add(c.traffic())
	if g.total.Closed == nil {
		g.total.Closed = map[websocket.Code]uint64{}
	}
	code := cmp.Or(websocket.CloseCode(how), websocket.CodeAbnormal)
	if _, known := g.total.Closed[code]; known || len(g.total.Closed) < maxCodes {
		g.total.Closed[code]++
	}
}

// reassign notes that a connection continues on another server.
func (m *members) reassign(c *Conn, to *balance.Upstream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.group(c.Server())
	delete(g.live, c)
	if r, ok := c.currentCarriage().(*relay); ok {
		g.total.Traffic.add(r.takeTraffic())
	}
	c.server.Store(to)
	g = m.group(to.ID())
	g.live[c] = struct{}{}
	g.total.Opened++
}

// resumed counts a connection that continues on its server.
func (m *members) resumed(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.group(c.Server()).total.Resumed++
}

// maxCodes is the maximum number of close codes counted for a server. A peer may use any of two thousand.
const maxCodes = 64

func (m *members) failed(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.group(id).total.Failed++
}

// prune forgets the servers that are not in the list and have no connections.
func (m *members) prune(list []balance.Spec) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, g := range m.byServer {
		if len(g.live) == 0 && !slices.ContainsFunc(list, func(s balance.Spec) bool { return s.ID == id }) {
			delete(m.byServer, id)
		}
	}
}

// counts returns the counts of a server.
func (m *members) counts(id string) Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.byServer[id]
	if g == nil {
		return Counts{}
	}
	n := g.total
	n.Closed = maps.Clone(n.Closed)
	for c := range g.live {
		n.Traffic.add(c.traffic())
	}
	return n
}

// all returns every connection.
func (m *members) all() (list []*Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.byServer {
		for c := range g.live {
			list = append(list, c)
		}
	}
	return list
}

// movable returns the connections of a server that can be moved, and how many moves are in progress. For a drain, list contains all
// of them, in any order. Otherwise it excludes those that the server asks to keep, and has the oldest first.
func (m *members) movable(id string, drain bool) (list []*Conn, leaving int) {
	m.mu.Lock()
	if g := m.byServer[id]; g != nil {
		for c := range g.live {
			switch {
			case c.moved.Load():
				leaving++
			case drain || !c.stays.Load():
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
