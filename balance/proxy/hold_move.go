package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/handfast/handfast/balance"
)

// How often a client of a server that works is tried to be moved, and the pause between two times.
const (
	mostMoves = 5
	movePause = 250 * time.Millisecond

	// leftOutFor is how long a server gets no clients for the sake of an even load that has refused mostMoves held ones in a row.
	leftOutFor = time.Minute
)

// refusals are those of held clients by a server, in a row.
type refusals struct {
	n     int
	until time.Time // the server gets none for the sake of an even load; zero if it does
}

// refused notes that a server has refused a held client for good, which says nothing about its health. u may be nil.
func (b *Balancer) refused(u *balance.Upstream) {
	if u == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusing == nil {
		b.refusing = map[*balance.Upstream]refusals{}
	}
	r := b.refusing[u]
	if r.n++; r.n >= mostMoves {
		r = refusals{n: mostMoves - 1, until: time.Now().Add(leftOutFor)} // then one is tried
	}
	b.refusing[u] = r
}

// accepted notes that a server has taken a held client.
func (b *Balancer) accepted(u *balance.Upstream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.refusing, u)
}

// leftOut returns the servers that get no clients for the sake of an even load at the moment.
func (b *Balancer) leftOut(now time.Time) (list []*balance.Upstream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for u, r := range b.refusing {
		if now.Before(r.until) {
			list = append(list, u)
		} else if b.servers[u.ID()] == nil {
			delete(b.refusing, u)
		}
	}
	return list
}

// move implements moves. It finds another server first, and then leaves the present one.
func (r *relay) move(well bool) bool {
	if r.hold == nil || !r.conn.balancer.enter() {
		return false
	}
	r.mu.Lock()
	from := r.server
	if !r.hold.planned { // a move that is about to come to nothing may have been counted
		r.hold.planned = true
		r.conn.balancer.switching.Add(1)
	}
	r.mu.Unlock()
	go func() {
		defer r.conn.balancer.wg.Done()
		ctx, cancel := context.WithTimeout(r.ctx, r.hold.wait)
		defer cancel()
		avoid := []*balance.Upstream{from.upstream}
		if well {
			avoid = append(avoid, r.conn.balancer.leftOut(time.Now())...)
		}
		next, err := r.place(ctx, avoid...)
		r.mu.Lock()
		busy := r.ending || r.leaving != nil || r.hold.switching || r.hold.next != nil || r.server != from
		if err == nil && !busy {
			r.hold.next = next
			r.server.cancel() // its reader sees to the rest
		}
		r.mu.Unlock()
		switch {
		case err == nil && busy:
			r.giveUp(next)
		case err != nil && !busy:
			r.settle()
			r.stay(err, well)
		}
	}()
	return true
}

// settle is called when the client is not being moved by a plan any more.
func (r *relay) settle() {
	r.mu.Lock()
	planned := r.hold.planned
	r.hold.planned = false
	r.mu.Unlock()
	if planned {
		r.conn.balancer.switching.Add(-1)
		r.conn.balancer.wake()
	}
}

// stay is called when no other server has taken the client. Its own one still works, so that it stays there for now. If that one is to be
// left, the client is closed when there is no other one for good, or after some attempts.
func (r *relay) stay(err error, well bool) {
	r.mu.Lock()
	r.hold.moves++
	last := r.hold.moves >= mostMoves
	r.mu.Unlock()
	if well && last && hopeless(err) {
		r.conn.stays.Store(true) // until it is on another server
	}
	if !well && (last || errors.Is(err, balance.ErrNone) || hopeless(err)) {
		r.conn.leave()
		return
	}
	select {
	case <-time.After(movePause/2 + rand.N(movePause)):
		r.conn.moved.Store(false) // the mover may try again
		r.conn.balancer.wake()
	case <-r.ctx.Done():
	}
}

// hopeless reports whether a connection cannot go on anywhere, after a server has not taken it.
func hopeless(err error) bool {
	refused, ok := errors.AsType[*Refused](err)
	return errors.Is(err, errNotResumed) || ok && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusTooManyRequests
}
