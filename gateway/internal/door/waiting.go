package door

import (
	"container/list"
	"net/netip"
	"sync"

	"github.com/handfast/handfast/internal/limit"
)

// Waiting is the set of connections that have not sent a whole request: those in their TLS handshake, before the end of
// a request's head, in the body of one for a page, or idle between two requests. They cost memory and have shown nothing for it, so their number is
// bounded. When there are too many, one is cut: the oldest one of the address that has the most. A client that opens
// thousands and sends a byte a second on each then loses its own, and a new client's handshake goes on.
type Waiting struct {
	most    func() int  // the bound; asked each time, as a reload may change it
	evicted func(*Peer) // told of each that was cut, without a lock held; may be nil
	exempt  func(netip.Addr) bool

	mu     sync.Mutex
	n      int
	groups map[netip.Prefix]*group
	ranks  []map[*group]struct{} // by how many members a group has; ranks[0] is not used
	top    int                   // the highest rank that has a group
}

// group is the connections of one address, the oldest first.
type group struct {
	key     netip.Prefix
	members list.List // of *Peer
}

// NewWaiting makes a set that holds most connections; most is asked each time, and 0 means no bound. Connections from
// addresses that exempt reports are not counted: a proxy has those of many clients. evicted is told of each that is cut.
func NewWaiting(most func() int, exempt func(netip.Addr) bool, evicted func(*Peer)) *Waiting {
	return &Waiting{most: most, exempt: exempt, evicted: evicted, groups: map[netip.Prefix]*group{}}
}

// Len returns how many there are.
func (w *Waiting) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// add puts p into the set, and cuts another one when there are too many.
func (w *Waiting) add(p *Peer) {
	if w.exempt != nil && w.exempt(p.Addr) {
		return
	}
	w.mu.Lock()
	if p.place != nil || p.gone || p.left {
		w.mu.Unlock()
		return
	}
	key := limit.Key(p.Addr)
	g := w.groups[key]
	if g == nil {
		g = &group{key: key}
		w.groups[key] = g
	}
	p.place, p.group = g.members.PushBack(p), g
	w.n++
	w.rank(g, g.members.Len()-1)
	var victim *Peer
	if most := w.most(); most > 0 && w.n > most {
		victim = w.victim()
		w.drop(victim)
		victim.gone = true
	}
	w.mu.Unlock()
	if victim != nil {
		victim.raw.Close()
		if w.evicted != nil {
			w.evicted(victim)
		}
	}
}

// remove takes p out of the set. It reports false when p was cut.
func (w *Waiting) remove(p *Peer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(p)
	return !p.gone
}

// leave is remove for good.
func (w *Waiting) leave(p *Peer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.left = true
	w.drop(p)
	return !p.gone
}

// drop takes p out of its group. mu is held.
func (w *Waiting) drop(p *Peer) {
	if p.place == nil {
		return
	}
	g := p.group
	g.members.Remove(p.place)
	p.place, p.group = nil, nil
	w.n--
	w.rank(g, g.members.Len()+1)
	if g.members.Len() == 0 {
		delete(w.groups, g.key)
	}
}

// rank moves a group that had a number of members before to its new rank, one higher or lower. mu is held.
func (w *Waiting) rank(g *group, before int) {
	now := g.members.Len()
	for len(w.ranks) <= max(before, now) {
		w.ranks = append(w.ranks, map[*group]struct{}{})
	}
	if before > 0 {
		delete(w.ranks[before], g)
	}
	if now > 0 {
		w.ranks[now][g] = struct{}{}
	}
	if now > w.top || now == w.top-1 && len(w.ranks[w.top]) == 0 {
		w.top = now
	}
}

// samples is how many groups are looked at for the oldest connection, of those that have the same number of them.
const samples = 16

// victim returns the connection to cut: of the groups that have the most, the oldest one, as far as a look at some of
// them in a random order tells. mu is held, and there is one.
func (w *Waiting) victim() *Peer {
	var oldest *Peer
	looked := 0
	for g := range w.ranks[w.top] {
		if p := g.members.Front().Value.(*Peer); oldest == nil || p.since.Before(oldest.since) {
			oldest = p
		}
		if looked++; looked == samples {
			break
		}
	}
	return oldest
}
