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
	maxMoves  = 5
	movePause = 250 * time.Millisecond

	// exclusionTime is how long a server that has refused maxMoves held clients in a row is left out of rebalancing.
	exclusionTime = time.Minute
)

// refusals counts the held clients in a row that a server has refused.
type refusals struct {
	n     int
	until time.Time // end of the exclusion from rebalancing; zero means none
}

// countRefusal notes that a server has finally refused a held client, which does not affect its health. u may be nil.
func (b *Balancer) countRefusal(u *balance.Upstream) {
	if u == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals == nil {
		b.refusals = map[*balance.Upstream]refusals{}
	}
	r := b.refusals[u]
	if r.n++; r.n >= maxMoves {
		r = refusals{n: maxMoves - 1, until: time.Now().Add(exclusionTime)} // after that, one client is tried
	}
	b.refusals[u] = r
}

// clearRefusals notes that a server has accepted a held client.
func (b *Balancer) clearRefusals(u *balance.Upstream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.refusals, u)
}

// excluded returns the servers that are left out of rebalancing now.
func (b *Balancer) excluded(now time.Time) (list []*balance.Upstream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for u, r := range b.refusals {
		if now.Before(r.until) {
			list = append(list, u)
		} else if b.servers[u.ID()] == nil {
			delete(b.refusals, u)
		}
	}
	return list
}

// move implements moves. It finds another server before it leaves the present one.
func (r *relay) move(working bool) bool {
	if r.hold == nil || !r.conn.balancer.addGoroutine() {
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
		if working {
			avoid = append(avoid, r.conn.balancer.excluded(time.Now())...)
		}
		next, err := r.openOnOtherServer(ctx, avoid...)
		r.mu.Lock()
		busy := r.ending || r.firstClose != nil || r.hold.switching || r.hold.next != nil || r.server != from
		if err == nil && !busy {
			r.hold.next = next
			r.server.cancel() // the server's reader then moves the client
		}
		r.mu.Unlock()
		switch {
		case err == nil && busy:
			r.abandon(next)
		case err != nil && !busy:
			r.endMove()
			r.moveFailed(err, working)
		}
	}()
	return true
}

// endMove is called when a planned move of the client has ended.
func (r *relay) endMove() {
	r.mu.Lock()
	planned := r.hold.planned
	r.hold.planned = false
	r.mu.Unlock()
	if planned {
		r.conn.balancer.switching.Add(-1)
		r.conn.balancer.wake()
	}
}

// moveFailed is called if no other server has accepted the client. Its own server still works, so the client stays there for now.
// If that server has to be left, the client is closed when no other server can ever take it, or after some attempts.
func (r *relay) moveFailed(err error, working bool) {
	r.mu.Lock()
	r.hold.moves++
	last := r.hold.moves >= maxMoves
	r.mu.Unlock()
	if working && last && isPermanent(err) {
		r.conn.stays.Store(true) // until the client is on another server
	}
	if !working && (last || errors.Is(err, balance.ErrNone) || isPermanent(err)) {
		r.conn.sendFarewell(causeOf(err))
		return
	}
	select {
	case <-time.After(movePause/2 + rand.N(movePause)):
		r.conn.moved.Store(false) // the mover may try again
		r.conn.balancer.wake()
	case <-r.ctx.Done():
	}
}

// isPermanent reports whether no server can continue the connection, after one has refused it.
func isPermanent(err error) bool {
	refused, ok := errors.AsType[*Refused](err)
	return errors.Is(err, errNotResumed) || ok && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusTooManyRequests
}
