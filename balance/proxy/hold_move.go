package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/handfast/handfast/balance"
)

// The number of times that the move of a client off a working server is tried, and the pause between two attempts.
const (
	mostMoves = 5
	movePause = 250 * time.Millisecond

	// leftOutFor is how long a server that has refused mostMoves held clients in a row is left out of rebalancing.
	leftOutFor = time.Minute
)

// refusals counts the held clients in a row that a server has refused.
type refusals struct {
	n     int
	until time.Time // end of the exclusion from rebalancing; zero means none
}

// refused notes that a server has finally refused a held client, which does not affect its health. u may be nil.
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
		r = refusals{n: mostMoves - 1, until: time.Now().Add(leftOutFor)} // after that, one client is tried
	}
	b.refusing[u] = r
}

// accepted notes that a server has accepted a held client.
func (b *Balancer) accepted(u *balance.Upstream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.refusing, u)
}

// leftOut returns the servers that are left out of rebalancing now.
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

// move implements moves. It finds another server before it leaves the present one.
func (r *relay) move(well bool) bool {
	if r.hold == nil || !r.conn.balancer.enter() {
		return false
	}
	r.mu.Lock()
	from := r.server
	if !r.hold.planned { // a move that is about to fail may still be counted
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
			r.server.cancel() // the server's reader then moves the client
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

// settle is called when a planned move of the client has ended.
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

// stay is called if no other server has accepted the client. Its own server still works, so the client stays there for now. If that
// server has to be left, the client is closed when no other server can ever take it, or after some attempts.
func (r *relay) stay(err error, well bool) {
	r.mu.Lock()
	r.hold.moves++
	last := r.hold.moves >= mostMoves
	r.mu.Unlock()
	if well && last && hopeless(err) {
		r.conn.stays.Store(true) // until the client is on another server
	}
	if !well && (last || errors.Is(err, balance.ErrNone) || hopeless(err)) {
		r.conn.leave(causeOf(err))
		return
	}
	select {
	case <-time.After(movePause/2 + rand.N(movePause)):
		r.conn.moved.Store(false) // the mover may try again
		r.conn.balancer.wake()
	case <-r.ctx.Done():
	}
}

// hopeless reports whether no server can continue the connection, after one has refused it.
func hopeless(err error) bool {
	refused, ok := errors.AsType[*Refused](err)
	return errors.Is(err, errNotResumed) || ok && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusTooManyRequests
}
