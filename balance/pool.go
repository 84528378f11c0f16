package balance

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options configure a [Pool]. The zero value is usable.
type Options struct {
	// Policy chooses among the upstreams that are ready. It must not be shared with another pool. If nil, it is PowerOfTwo(nil).
	Policy Policy

	// SlowStart is how long an upstream that is new, or was down, drained or ejected, gets only a share of its weight: a tenth at
	// first, growing linearly. Zero or less means no slow start. An upstream that starts serving while no
	// other is serving has no slow start either.
	SlowStart time.Duration

	// Ejection configures the temporary removal of an upstream whose connections fail.
	Ejection Ejection

	// Rise and Fall are the number of consecutive probes that have to succeed or fail before an upstream is considered up or down.
	// Zero means 2 and 3. The first probe of an upstream decides alone; before the first probe, the upstream is considered up.
	Rise, Fall int
}

const (
	firstShare      = 0.1         // share of the weight at the beginning of slow start
	reportValidity  = time.Minute // how long a reported load is used
	maxReportedLoad = 1 << 24     // larger reports are wrong
)

// Pool is a list of upstreams with their connections and their health. Make it with [NewPool]. Its methods are safe for concurrent
// use: one mutex guards everything, and no method blocks while it holds it. The time of each is at most linear in the number of
// upstreams; Acquire and Release do not allocate, except for an error.
type Pool struct {
	options Options

	mu       sync.Mutex // guards options too
	byID     map[string]*Upstream
	all      []*Upstream // sorted by ID; includes removed ones with connections
	ready    []*Upstream // in state Ready, sorted by ID
	filtered []*Upstream // scratch space: ready without the tried upstreams
	slow     []*Upstream // serving upstreams in slow start

	stale   bool      // ready has to be rebuilt
	next    time.Time // when ready has to be rebuilt even without a change; zero means never
	refusal *Unavailable

	lastRelease     time.Time     // time of the last release
	releaseInterval time.Duration // average time between releases
}

// NewPool returns an empty pool.
func NewPool(o Options) *Pool { return &Pool{options: o.withDefaults(), byID: map[string]*Upstream{}} }

func (o Options) withDefaults() Options {
	if o.Policy == nil {
		o.Policy = PowerOfTwo(nil)
	}
	if o.Rise <= 0 {
		o.Rise = 2
	}
	if o.Fall <= 0 {
		o.Fall = 3
	}
	o.Ejection = o.Ejection.withDefaults()
	return o
}

// Configure replaces the options. The state of the upstreams is kept: connections, health, drains and current ejections. A nil
// Policy keeps the current one.
func (p *Pool) Configure(now time.Time, o Options) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.Policy == nil {
		o.Policy = p.options.Policy
	}
	p.options = o.withDefaults()
	p.update(now)
}

// Set replaces the list of upstreams. The state of an ID that remains in the list is kept: its connections, health and drains. An
// ID that is no longer listed gets no connections, and is forgotten when its last one is released; if the ID is listed again before
// that, the upstream is the same. The error names an entry that is not valid; the list is then unchanged. Set does not keep specs.
func (p *Pool) Set(now time.Time, specs []Spec) error {
	if err := check(specs); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		u.listed = false
	}
	for _, s := range specs {
		u := p.byID[s.ID]
		if u == nil {
			u = &Upstream{id: s.ID, hash: hash(s.ID), since: now}
			p.byID[s.ID] = u
			p.all = append(p.all, u)
		}
		u.weight, u.capacity, u.listed = max(s.Weight, 1), s.Capacity, true
	}
	p.removeUnlisted()
	slices.SortFunc(p.all, func(a, b *Upstream) int { return strings.Compare(a.id, b.id) })
	p.update(now)
	return nil
}

// removeUnlisted drops the upstreams that are not in the list and have no connection.
func (p *Pool) removeUnlisted() {
	p.all = slices.DeleteFunc(p.all, func(u *Upstream) bool {
		if u.listed || u.live > 0 {
			return false
		}
		delete(p.byID, u.id)
		return true
	})
}

// Acquire chooses an upstream for a connection and counts the connection there, before it is opened. The caller must call Release
// once, when the connection has failed to open or has ended. key is for the policy [Hash]. The upstreams in tried have failed for
// this client and are not chosen again. The error is an [*Unavailable].
func (p *Pool) Acquire(now time.Time, key string, tried ...*Upstream) (*Upstream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(now)
	for _, u := range p.slow {
		if p.updateShare(now, u); !u.slowStart {
			p.stale = true // to remove it from ready
		}
	}
	ready := p.ready
	if len(tried) > 0 && len(ready) > 0 {
		ready = p.readyExcept(tried)
	}
	if len(ready) == 0 {
		return nil, p.refuse(now, tried)
	}
	return p.addConnection(p.options.Policy.Pick(ready, key)), nil
}

// AcquireAt is Acquire for a client that belongs to one upstream, for example because of a cookie; the policy is not used. It
// returns false if that upstream is not ready, or not known.
func (p *Pool) AcquireAt(now time.Time, id string) (*Upstream, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(now)
	u := p.byID[id]
	if u == nil || !slices.Contains(p.ready, u) {
		return nil, false
	}
	return p.addConnection(u), true
}

// OthersReady reports whether an upstream other than u is ready.
func (p *Pool) OthersReady(now time.Time, u *Upstream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(now)
	return slices.ContainsFunc(p.ready, func(other *Upstream) bool { return other != u })
}

// addConnection counts a connection at u.
func (p *Pool) addConnection(u *Upstream) *Upstream {
	u.live++
	if u.full() {
		p.stale = true
	}
	return u
}

// readyExcept returns the upstreams that are ready and were not tried.
func (p *Pool) readyExcept(tried []*Upstream) []*Upstream {
	p.filtered = p.filtered[:0]
	for _, u := range p.ready {
		if !slices.Contains(tried, u) {
			p.filtered = append(p.filtered, u)
		}
	}
	setCumulativeWeights(p.filtered)
	p.stale = true // the sums in ready are invalid now
	return p.filtered
}

// setCumulativeWeights sets the running sums of weights in a list for a policy.
func setCumulativeWeights(ready []*Upstream) {
	var weight int64
	for _, u := range ready {
		weight += int64(u.weight)
		u.cumulativeWeight = weight
	}
}

// Release gives back a connection that Acquire counted at u. It panics if u has none.
func (p *Pool) Release(now time.Time, u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.live == 0 {
		panic("balance: more connections of " + u.id + " released than acquired")
	}
	if u.full() {
		p.stale = true
	}
	u.live--
	if !u.listed && u.live == 0 {
		p.removeUnlisted()
	}
	if took := now.Sub(p.lastRelease); !p.lastRelease.IsZero() && took >= 0 {
		p.releaseInterval += (took - p.releaseInterval) / 8
	}
	p.lastRelease = now
}

// refresh updates the pool if something has changed or is due.
func (p *Pool) refresh(now time.Time) {
	if p.stale || !p.next.IsZero() && !now.Before(p.next) {
		p.update(now)
	}
}

// update ends expired states, and determines which upstreams serve and which are ready.
func (p *Pool) update(now time.Time) {
	p.stale, p.next, p.refusal = false, time.Time{}, nil
	for _, u := range p.all {
		if u.ejection.active && !now.Before(u.ejection.until) {
			u.ejection.end(u.ejection.until)
		}
		if !u.reported.IsZero() && now.Sub(u.reported) >= reportValidity {
			u.others, u.reported = 0, time.Time{}
		}
	}
	p.endExcessEjections(now)

	served := slices.ContainsFunc(p.all, func(u *Upstream) bool { return u.serving })
	p.ready, p.slow = p.ready[:0], p.slow[:0]
	for _, u := range p.all {
		serving := u.healthy() && !u.ejection.active
		if serving != u.serving {
			u.serving, u.since = serving, now
			u.ejection.clear()
			u.slowStart = serving && served && p.options.SlowStart > 0
		}
		if emptying := !u.listed || u.drained || u.leaving; emptying != u.emptying {
			u.emptying, u.liveAtDrainStart = emptying, 0
			if emptying {
				u.liveAtDrainStart = u.live
			}
		}
		p.updateShare(now, u)
		if !u.reported.IsZero() {
			p.scheduleUpdate(u.reported.Add(reportValidity))
		}
		if u.ejection.active {
			p.scheduleUpdate(u.ejection.until)
		}
		if !serving {
			continue
		}
		if u.slowStart {
			p.slow = append(p.slow, u)
		}
		if !u.full() {
			p.ready = append(p.ready, u)
		}
	}
	setCumulativeWeights(p.ready)
}

// scheduleUpdate schedules an update of the pool no later than t.
func (p *Pool) scheduleUpdate(t time.Time) {
	if p.next.IsZero() || t.Before(p.next) {
		p.next = t
	}
}

// updateShare sets the share of an upstream according to its progress in slow start.
func (p *Pool) updateShare(now time.Time, u *Upstream) {
	done := 1.0
	if u.slowStart {
		done = math.Max(0, float64(now.Sub(u.since))/float64(p.options.SlowStart))
	}
	if done >= 1 {
		u.slowStart, done = false, 1
	}
	u.setShare(firstShare + (1-firstShare)*done)
}
