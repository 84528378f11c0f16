package balance

import (
	"math"
	"time"
)

// Rebalance says how even the load must be, and how much may move for that.
type Rebalance struct {
	// Spread bounds the load of each upstream, as a multiple of the average for its weight, rounded up to a whole connection. Zero
	// means 1.1; less than 1 is taken as 1. With the policy [Hash] it should not be less than the bound of that: a connection whose key
	// has room where it was would come back to the same upstream.
	Spread float64

	// Percentage is the most of its own connections that an upstream gives up in one plan, but at least one. Zero means 10, at most
	// 100. It does not hold for upstreams that drain.
	Percentage float64
}

// Move is how many connections an upstream should give up.
type Move struct {
	ID    string // of the upstream
	Count int    // at least 1
	Why   State  // Draining, Removed, or Ready for a surplus
}

// Surplus plans moves for the upstreams of the pool as they are at now. See [Plan].
func (p *Pool) Surplus(now time.Time, r Rebalance) []Move { return Plan(p.Status(now), r) }

// Plan returns how many connections each upstream should give up, first those that drain, or nil if all is well. It is a function
// of its arguments only. The connections are to be closed, or moved otherwise, at a pace; the policy places them again.
//
// An upstream that drains gives all, even if it is down or was removed from the list meanwhile. So does one that was only removed; Why
// lets the caller leave those where they are. An upstream that serves gives what it has beyond the bound, as far as the others have room for
// it below the bound and below their capacity. One in slow start has no room yet: the policy keeps most connections from it, so that what was
// closed for it would come back to where it was. Those that are down or ejected neither give nor take.
//
// Carried out in full and placed where there is room, a plan is followed by another until the bound holds, and then by none: to
// round the bound up keeps two upstreams from exchanging one connection forever. When several balancers know the total load from
// reports, each plans its part of the surplus, in proportion to its own connections.
func Plan(servers []Status, r Rebalance) []Move {
	r = r.withDefaults()
	var load, weight float64
	for _, s := range servers {
		switch {
		case s.State == Ready || s.State == Full:
			load += float64(s.Load)
			weight += float64(s.Weight) * s.Share
		case s.gives() != "":
			load += float64(s.Live) // they will be placed on the others
		}
	}
	bound := func(s Status) int {
		return int(math.Ceil(r.Spread * load / weight * float64(s.Weight) * s.Share * exact))
	}
	room := 0
	for _, s := range servers {
		if s.State == Ready && s.Share >= 1 {
			most := bound(s)
			if s.Capacity > 0 {
				most = min(most, s.Capacity)
			}
			room += max(0, most-s.Load)
		}
	}
	var moves []Move
	for _, s := range servers {
		if why := s.gives(); why != "" && s.Live > 0 {
			room -= s.Live
			moves = append(moves, Move{s.ID, s.Live, why})
		}
	}
	for _, s := range servers {
		if s.State != Ready && s.State != Full {
			continue
		}
		over := s.Load - bound(s)
		if over <= 0 {
			continue
		}
		own := int(math.Ceil(float64(over) * float64(s.Live) / float64(s.Load)))
		count := min(own, max(1, int(float64(s.Live)*r.Percentage/100)), room)
		if count > 0 {
			moves = append(moves, Move{s.ID, count, Ready})
			room -= count
		}
	}
	return moves
}

// gives returns why an upstream gives all of its connections: [Draining], also when it is down or removed meanwhile, or [Removed]. Otherwise
// it is "".
func (s Status) gives() State {
	switch {
	case s.State == Draining || s.Drained || s.Leaving:
		return Draining
	case s.State == Removed:
		return Removed
	}
	return ""
}

func (r Rebalance) withDefaults() Rebalance {
	if r.Spread == 0 {
		r.Spread = 1.1
	}
	r.Spread = max(r.Spread, 1)
	if r.Percentage <= 0 {
		r.Percentage = 10
	}
	r.Percentage = min(r.Percentage, 100)
	return r
}

// Spread returns the highest load of an upstream that serves, for its weight, as a multiple of the average: 1 is perfectly even.
// Without load it is 1.
func Spread(servers []Status) float64 {
	var load, weight, highest float64
	for _, s := range servers {
		if s.State == Ready || s.State == Full {
			part := float64(s.Weight) * s.Share
			load += float64(s.Load)
			weight += part
			highest = max(highest, float64(s.Load)/part)
		}
	}
	if load == 0 {
		return 1
	}
	return highest * weight / load
}
