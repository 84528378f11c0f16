package proxy

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/handfast/handfast/balance"
)

const (
	jitter = 0.5 // of the rate at which clients are moved

	// checkInterval is how often the mover checks for clients to move if nothing wakes it. The share of a server in slow start
	// grows with time.
	checkInterval = time.Second

	// maxSwitching is the maximum number of held clients that are moved at the same time. More handshakes do not help when the
	// machine is busy already.
	maxSwitching = 64

	maxRetryAfter = 3 * time.Second // a moved client reconnects within this time
)

// move moves clients off servers until the Balancer is closed.
func (b *Balancer) move() {
	drain := balance.NewPace(0, jitter, nil)
	spread := balance.NewPace(0, jitter, nil)
	timer := time.NewTimer(0)
	defer timer.Stop()
	seen := reporter{}
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.moving:
		case <-timer.C:
		}
		b.expireAnnouncedDrains(time.Now())
		b.report(seen)
		s := b.set.Load()
		drain.SetRate(cmp.Or(s.MovesPerSecond, 100))
		var plan balance.Rebalance // stays zero if only drains move clients
		if s.Rebalance != nil {
			plan = s.Rebalance.Rebalance
			spread.SetRate(cmp.Or(s.Rebalance.PerSecond, 20))
		}
		wait := checkInterval
		for _, m := range balance.Plan(b.planned(time.Now()), plan) {
			switch m.Why {
			case balance.Draining:
				wait = min(wait, b.moveSome(m, b.paceOf(m.ID, drain), false))
			case balance.Ready:
				if s.Rebalance != nil {
					wait = min(wait, b.moveSome(m, spread, s.Rebalance.OldestFirst))
				}
			}
		}
		timer.Reset(wait)
	}
}

// planned returns the servers that clients are moved between. A server that refuses held clients is left out, unless its own
// clients have to leave.
func (b *Balancer) planned(now time.Time) []balance.Status {
	list := b.pool.Status(now)
	for _, u := range b.excluded(now) {
		list = slices.DeleteFunc(list, func(s balance.Status) bool {
			return s.ID == u.ID() && (s.State == balance.Ready || s.State == balance.Full)
		})
	}
	return list
}

// paceOf returns the rate of a server's drain.
func (b *Balancer) paceOf(id string, otherwise *balance.Pace) *balance.Pace {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pace[id]; p != nil {
		return p
	}
	return otherwise
}

// moveSome moves as many of a server's clients as the plan and the rate allow now, and returns when to continue.
func (b *Balancer) moveSome(m balance.Move, pace *balance.Pace, oldestFirst bool) time.Duration {
	list, leaving := b.members.movable(m.ID, m.Why == balance.Draining)
	for n := m.Count - leaving; n > 0 && len(list) > 0; n-- {
		if b.switching.Load() >= maxSwitching {
			return checkInterval // the mover is woken when a move has ended
		}
		if wait := pace.Next(time.Now()); wait > 0 {
			return wait
		}
		i := pick(len(list), m.Why == balance.Draining, oldestFirst)
		list[i].move(m.Why != balance.Draining)
		list = append(list[:i], list[i+1:]...)
	}
	return checkInterval
}

// pick returns which of n connections, ordered from the oldest to the newest, is moved next.
func pick(n int, drain, oldestFirst bool) int {
	switch {
	case drain: // all of them leave, in an order that no client can predict
		return rand.IntN(n)
	case oldestFirst:
		return 0
	}
	return n - 1
}

// Move moves the client to another server. A held connection continues there. The client of any other connection gets a close frame
// and reconnects on its own, to another server if the present one drains. Move does nothing while a move of the connection is in
// progress.
func (c *Conn) Move() { c.move(false) }

// move implements Move. If working is true, the server works: a held connection then stays if no other server accepts it.
func (c *Conn) move(working bool) {
	if c.moved.Swap(true) {
		return
	}
	if m, ok := c.currentCarriage().(mover); ok && m.move(working) {
		return
	}
	if c.balancer.pool.OthersReady(time.Now(), c.server.Load()) {
		c.sendFarewell(CauseMoved)
	} else {
		c.sendFarewell(CauseNoServer)
	}
}

// retryAfter returns a random time after which a client should reconnect, so that clients do not all reconnect at the same time.
func retryAfter() time.Duration { return time.Duration(rand.Int64N(int64(maxRetryAfter))) }
