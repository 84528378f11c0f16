package proxy

import (
	"time"

	"github.com/handfast/handfast/balance"
)

// Change is an event of a server: its state has changed, or its last connection has ended while it gets no new ones.
type Change struct {
	Server  string        // ID of the server
	State   balance.State // present state; a full server is Ready
	Why     string        // in words; may be ""
	Live    int           // the number of connections
	Emptied bool          // the state has not changed, but the last connection has ended
}

// reporter finds the changes of servers by comparing states. Only one goroutine uses it.
type reporter map[string]Change // the last seen state of each server, by ID

// update reports the changes since the last call.
func (r reporter) update(servers []balance.Status, report func(Change)) {
	listed := map[string]bool{}
	for _, s := range servers {
		listed[s.ID] = true
		now := Change{Server: s.ID, State: s.State, Why: s.Why, Live: s.Live}
		if s.State == balance.Full {
			now.State, now.Why = balance.Ready, ""
		}
		was := r[s.ID]
		r[s.ID] = now
		leaves := now.State == balance.Draining || now.State == balance.Removed
		now.Emptied = leaves && was.State == now.State && was.Live > 0 && now.Live == 0
		if was.State != now.State || now.Emptied {
			report(now)
		}
	}
	for id, was := range r {
		if !listed[id] { // the pool forgets a removed server when its last connection has ended
			delete(r, id)
			report(Change{Server: id, State: balance.Removed, Emptied: was.State == balance.Removed})
		}
	}
}

// report reports changes to the hook. Only the mover calls it.
func (b *Balancer) report(r reporter) {
	if b.hooks.Changed != nil {
		r.update(b.pool.Status(time.Now()), b.hooks.Changed)
	}
}
