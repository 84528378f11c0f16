package balance

import (
	"errors"
	"fmt"
	"time"
)

// Spec is one entry of the list of upstreams.
type Spec struct {
	ID       string // identity of the server, such as ws://10.0.0.7:9001; required, compared byte by byte
	Weight   int    // share of the load, relative to the others; 0 means 1
	Capacity int    // maximum number of connections; 0 means no limit
}

// maxWeight keeps sums of weights and products with loads well below overflow.
const maxWeight = 1 << 20

// check returns the error in a list of upstreams.
func check(specs []Spec) error {
	seen := make(map[string]bool, len(specs))
	for i, s := range specs {
		switch {
		case s.ID == "":
			return fmt.Errorf("upstream %d has no ID", i+1)
		case seen[s.ID]:
			return fmt.Errorf("upstream %s is in the list twice", s.ID)
		case s.Weight < 0 || s.Weight > maxWeight:
			return fmt.Errorf("upstream %s: weight %d is not from 0 to %d", s.ID, s.Weight, maxWeight)
		case s.Capacity < 0:
			return fmt.Errorf("upstream %s: capacity %d is negative", s.ID, s.Capacity)
		}
		seen[s.ID] = true
	}
	return nil
}

// State is the state of an upstream, which determines whether it can get connections.
type State string

// The states of an upstream. The first that applies is reported, in this order.
const (
	Removed  State = "removed"  // no longer in the list; known until its last connection has ended
	Down     State = "down"     // health checks fail
	Draining State = "draining" // by the operator, or announced by the server itself
	Ejected  State = "ejected"  // temporarily removed because its connections failed
	Full     State = "full"     // its capacity is reached
	Ready    State = "ready"
	Tried    State = "tried" // only in a Reason: the caller has already tried the upstream for this client
)

// Upstream is one server of a [Pool], identified by the ID in its [Spec]. The pointer stays the same across changes of the list,
// until the upstream is removed and its last connection is gone.
//
// ID may be called at any time. The other methods are for a [Policy] during its Pick, under the lock of the pool; other code reads
// [Pool.Status].
type Upstream struct {
	// The fields that a policy reads are first, so that they are in one cache line.
	live             int     // connections of this pool
	others           int     // connections of other balancers, as last reported
	cost             float64 // cost of a connection: 1 / (weight * share)
	weight           int
	hash             uint64  // hash of id
	cumulativeWeight int64   // running sum of the weights in the ready list, including this weight
	share            float64 // share of the weight; 1 after slow start
	turn             float64 // for RoundRobin, and for LeastConnections in slow start

	id       string
	capacity int // 0 means no limit
	listed   bool
	reported time.Time // when others was reported

	ejection         ejection
	probes           probes
	drained          bool // drained by the operator
	leaving          bool // the server has announced that it drains
	serving          bool // listed, up, neither draining nor ejected
	since            time.Time
	slowStart        bool // in slow start, which began at since
	emptying         bool // drained, leaving or not listed
	liveAtDrainStart int  // live when emptying began
}

// ID returns the identity from the list.
func (u *Upstream) ID() string { return u.id }

// Weight returns the weight from the list, at least 1.
func (u *Upstream) Weight() int { return u.weight }

// Live returns the number of connections that the pool has placed on u and not yet released.
func (u *Upstream) Live() int { return u.live }

// Load returns the number of connections at u, including those of other balancers, if they are known.
func (u *Upstream) Load() int { return u.live + u.others }

// Share returns the part of its weight that u gets, more than 0 and at most 1. It is below 1 only during slow start.
func (u *Upstream) Share() float64 { return u.share }

// Cost returns the load that u would have with one more connection, relative to its weight and share. A policy that balances load
// picks the upstream with the lowest cost.
func (u *Upstream) Cost() float64 { return float64(u.live+u.others+1) * u.cost }

// full reports whether the capacity of u is reached.
func (u *Upstream) full() bool { return u.capacity > 0 && u.Load() >= u.capacity }

// state returns the state of u, as of the last update of the pool.
func (u *Upstream) state() State {
	switch {
	case !u.listed:
		return Removed
	case u.probes.down:
		return Down
	case u.drained || u.leaving:
		return Draining
	case u.ejection.active:
		return Ejected
	case u.full():
		return Full
	}
	return Ready
}

// stateReason describes the state in words. It is "" for Ready.
func (u *Upstream) stateReason() string {
	switch u.state() {
	case Removed:
		return "no longer in the list"
	case Down:
		if u.drained {
			return u.probes.reason + "; drained by the operator"
		}
		return u.probes.reason
	case Draining:
		if u.drained {
			return "by the operator"
		}
		return "reported by the server"
	case Ejected:
		return fmt.Sprintf("%s, until %s", u.ejection.reason, u.ejection.until.UTC().Format(time.RFC3339))
	case Full:
		return fmt.Sprintf("%d of %d connections", u.Load(), u.capacity)
	}
	return ""
}

// setShare sets the share of its weight that u gets.
func (u *Upstream) setShare(share float64) {
	u.share = share
	u.cost = 1 / (float64(u.weight) * share)
}

// The errors that [Pool.Acquire] wraps.
var (
	ErrNone = errors.New("no upstream is ready")
	ErrFull = errors.New("every upstream that is ready is full")
)
