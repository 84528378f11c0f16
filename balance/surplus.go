package balance

import (
	"math"
	"time"
)

// Rebalance configures how even the load must be, and how much may move to achieve that.
type Rebalance struct {
	// Spread limits the load of each upstream, as a multiple of the average for its weight, rounded up to a whole connection. Zero
	// means 1.1, and 1 is the minimum. With the policy [Hash] it should not be less than the bound of that policy: otherwise a
	// moved connection would return to the same upstream, which has room for its key.
	Spread float64

	// Percentage is the largest part of its own connections that an upstream gives up in one plan, but at least one connection.
	// Zero means 10, the maximum is 100. It does not apply to draining upstreams.
	Percentage float64
}

// Move is the number of connections that an upstream should give up.
type Move struct {
	ID    string // ID of the upstream
	Count int    // at least 1
	Why   State  // Draining, Removed, or Ready for a surplus
}

// Surplus plans moves for the present upstreams of the pool. See [Plan].
func (p *Pool) Surplus(now time.Time, r Rebalance) []Move { return Plan(p.Status(now), r) }

// Plan returns how many connections each upstream should give up, draining ones first, or nil if no moves are needed. It is a pure
// function of its arguments. The caller closes or moves the connections at a limited rate; the policy places them again.
//
// A draining upstream gives up all connections, even if it is down or has been removed meanwhile. So does an upstream that was only
// removed; a caller that wants to leave its connections alone can recognize it by Why. A serving upstream gives up the connections
// that exceed the bound, if the others have room for them below the bound and below their capacity. An upstream in slow start has
// no room yet: the policy places few connections on it, so closed connections would return to their previous upstreams. An upstream
// that is down or ejected neither gives up connections nor has room.
//
// If a plan is carried out in full and its connections are placed where there is room, further plans follow until the bound holds,
// and then none: rounding up the bound keeps two upstreams from exchanging one connection forever. If several balancers know the
// total load from reports, each plans its part of the surplus, in proportion to its own connections.
func Plan(servers []Status, r Rebalance) []Move {
	r = r.withDefaults()
	var load, weight float64
	for _, s := range servers {
		switch {
		case s.State == Ready || s.State == Full:
			load += float64(s.Load)
			weight += float64(s.Weight) * s.Share
		case s.emptyingReason() != "":
			load += float64(s.Live) // these connections will be placed on the other upstreams
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
		if why := s.emptyingReason(); why != "" && s.Live > 0 {
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

// emptyingReason returns why an upstream gives up all of its connections: [Draining], even if it is also down or removed, or
// [Removed]. Otherwise it is "".
func (s Status) emptyingReason() State {
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

// Spread returns the highest load of a serving upstream, for its weight, as a multiple of the average: 1 is perfectly even. Without
// load it is 1.
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
