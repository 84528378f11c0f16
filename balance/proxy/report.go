package proxy

import (
	"time"

	"github.com/handfast/handfast/balance"
)

// Change is what has happened to a server: it has another state, or the last connection of one that gets no new ones has ended.
type Change struct {
	Server  string        // its ID
	State   balance.State // that it is in now; a full one is Ready
	Why     string        // for a person; may be ""
	Live    int           // its connections
	Emptied bool          // the state is as before, but there is no connection left
}

// reporter finds the changes of servers by comparison. One goroutine uses it.
type reporter map[string]Change // the last one by ID

// look reports what has changed since the last look.
func (r reporter) look(servers []balance.Status, report func(Change)) {
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
		if !listed[id] { // the pool forgets a removed server with its last connection
			delete(r, id)
			report(Change{Server: id, State: balance.Removed, Emptied: was.State == balance.Removed})
		}
	}
}

// report has the hook get what has changed. Only the mover calls it.
func (b *Balancer) report(r reporter) {
	if b.hooks.Changed != nil {
		r.look(b.pool.Status(time.Now()), b.hooks.Changed)
	}
}
