package balance

import "time"

// Status is the state of one upstream, for the operator.
type Status struct {
	ID       string    `json:"id"` // from the list
	State    State     `json:"state"`
	Why      string    `json:"why,omitempty"`        // the reason for the state
	Since    time.Time `json:"since"`                // when it started or stopped serving
	Weight   int       `json:"weight"`               // at least 1
	Share    float64   `json:"share"`                // share of the weight; below 1 during slow start
	Capacity int       `json:"capacity,omitempty"`   // 0 means no limit
	Live     int       `json:"live"`                 // connections of this pool
	Load     int       `json:"load"`                 // including those of other balancers, if they are known
	Drained  bool      `json:"drained,omitempty"`    // drained by the operator
	Leaving  bool      `json:"leaving,omitempty"`    // the server has announced that it drains
	From     int       `json:"drain_from,omitempty"` // Live at the beginning of its drain, or when it was removed
	Probed   string    `json:"probed,omitempty"`     // error of the last failed probe
	Ejected  time.Time `json:"ejected,omitzero"`     // end of the ejection; zero if there is none
	Failures int       `json:"failures,omitempty"`   // consecutive failures
}

// Status returns the state of every upstream at now, sorted by ID, including removed ones that still have connections. The caller
// owns the slice.
func (p *Pool) Status(now time.Time) []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update(now)
	all := make([]Status, 0, len(p.all))
	for _, u := range p.all {
		all = append(all, Status{
			ID: u.id, State: u.state(), Why: u.stateReason(), Since: u.since,
			Weight: u.weight, Share: u.share, Capacity: u.capacity, Live: u.live, Load: u.Load(),
			Drained: u.drained, Leaving: u.leaving, From: u.liveAtDrainStart, Probed: u.probes.reason,
			Ejected: u.ejection.until, Failures: u.ejection.consecutiveFailures,
		})
	}
	return all
}
