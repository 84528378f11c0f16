package balance

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Ejection configures passive health checks: an upstream whose connections fail is ejected for a time. Because an ejection is only
// a guess, it is limited: the last serving upstream is never ejected, nor more than a share of the list. If other upstreams leave
// afterwards, ejections beyond these limits end early.
type Ejection struct {
	Failures int           // consecutive failures that eject an upstream; 0 means 5, negative means that no upstream is ever ejected
	Share    float64       // the largest share of the list that may be ejected, but always at least one upstream; 0 means 0.5
	Base     time.Duration // duration of the first ejection, which doubles each time; 0 means 10 seconds
	Max      time.Duration // the longest ejection; after Max in service, the next ejection lasts Base again; 0 means 5 minutes
}

func (e Ejection) withDefaults() Ejection {
	if e.Failures == 0 {
		e.Failures = 5
	}
	if e.Share <= 0 {
		e.Share = 0.5
	}
	if e.Base <= 0 {
		e.Base = 10 * time.Second
	}
	if e.Max <= 0 {
		e.Max = 5 * time.Minute
	}
	e.Max = max(e.Max, e.Base)
	return e
}

// An upstream is also ejected if half of its last 32 outcomes were failures, once there are at least 16.
const (
	historySize = 32
	minOutcomes = 16
)

// ejection is the state of passive health checks for one upstream.
type ejection struct {
	consecutiveFailures int
	history             uint32 // the last outcomes, one bit each, 1 for a failure, the latest in the lowest bit
	recorded            int    // number of valid bits

	active      bool
	until       time.Time
	ended       time.Time // end of the last ejection; zero if there was none
	consecutive int       // consecutive ejections, for the backoff
	reason      string
}

// count counts an outcome, and returns why the upstream should be ejected, or "" if it should not be.
func (e *ejection) count(failed bool, what string, failures int) string {
	e.history <<= 1
	e.recorded = min(e.recorded+1, historySize)
	if !failed {
		e.consecutiveFailures = 0
		return ""
	}
	e.history |= 1
	e.consecutiveFailures++
	if e.consecutiveFailures >= failures {
		return fmt.Sprintf("%d failures in a row, the last: %s", e.consecutiveFailures, what)
	}
	if n := bits.OnesCount32(e.history); e.recorded >= minOutcomes && 2*n >= e.recorded {
		return fmt.Sprintf("%d failures in %d connections, the last: %s", n, e.recorded, what)
	}
	return ""
}

// begin ejects the upstream until the backoff has passed.
func (e *ejection) begin(now time.Time, o Ejection, reason string) {
	if !e.ended.IsZero() && now.Sub(e.ended) >= o.Max {
		e.consecutive = 0
	}
	last := math.Min(float64(o.Base)*math.Pow(2, float64(e.consecutive)), float64(o.Max))
	e.active, e.until, e.reason = true, now.Add(time.Duration(last)), reason
	e.consecutive++
}

// end ends the ejection. Earlier outcomes are not counted any more.
func (e *ejection) end(now time.Time) {
	*e = ejection{ended: now, consecutive: e.consecutive}
}

// clear resets the counters.
func (e *ejection) clear() { e.consecutiveFailures, e.history, e.recorded = 0, 0, 0 }

// probes are the results of health checks of one upstream.
type probes struct {
	down          bool
	known         bool // there was a probe
	contradicting int  // consecutive results that contradict the verdict
	reason        string
}

// Outcome is the outcome of a connection to an upstream.
type Outcome string

// The outcomes. Only OK is a success.
const (
	OK          Outcome = "ok"               // the upstream has accepted the handshake, or refused it because of the client
	Unreachable Outcome = "unreachable"      // no connection was made in time
	Failed      Outcome = "failed handshake" // no response, an invalid one, or one that indicates a fault of the server
	ClosedEarly Outcome = "closed early"     // the upstream has ended a connection without a close frame soon after the handshake
)

// Outcome counts the outcome of a connection to u, and reports whether u is ejected because of it. A connection may have two
// outcomes: OK for its handshake, then ClosedEarly. Nothing is counted while u does not serve: a draining server may well end its
// connections.
func (p *Pool) Outcome(now time.Time, u *Upstream, o Outcome) (ejected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(now)
	if p.byID[u.id] != u || !u.serving {
		return false
	}
	failures := p.options.Ejection.Failures
	if failures < 0 {
		return false
	}
	reason := u.ejection.count(o != OK, string(o), failures)
	if reason == "" || !p.mayEject() {
		return false
	}
	u.ejection.begin(now, p.options.Ejection, reason)
	p.update(now)
	return true
}

// mayEject reports whether one more upstream may be ejected.
func (p *Pool) mayEject() bool {
	serving, ejected := 0, 0
	for _, u := range p.all {
		if u.serving {
			serving++
		}
		if u.listed && u.ejection.active {
			ejected++
		}
	}
	return serving > 1 && ejected < p.maxEjected()
}

// maxEjected returns the maximum number of ejected upstreams.
func (p *Pool) maxEjected() int {
	listed := 0
	for _, u := range p.all {
		if u.listed {
			listed++
		}
	}
	return max(1, int(p.options.Ejection.Share*float64(listed)))
}

// endExcessEjections ends the ejections that exceed the limit, those with the earliest end first, and all of them if no other
// upstream serves.
func (p *Pool) endExcessEjections(now time.Time) {
	ejected, other := 0, false
	for _, u := range p.all {
		if u.listed && u.ejection.active {
			ejected++
		}
		other = other || u.healthy() && !u.ejection.active
	}
	most := p.maxEjected()
	if !other {
		most = 0
	}
	for ; ejected > most; ejected-- {
		var soonest *Upstream
		for _, u := range p.all {
			if u.listed && u.ejection.active && (soonest == nil || u.ejection.until.Before(soonest.ejection.until)) {
				soonest = u
			}
		}
		soonest.ejection.end(now)
	}
}

// healthy reports whether u would serve if it were not ejected.
func (u *Upstream) healthy() bool {
	return u.listed && !u.probes.down && !u.drained && !u.leaving
}

// Probe counts the result of a health check (nil means success), and reports whether it has changed the upstream to up or down. An
// unknown ID is ignored.
func (p *Pool) Probe(now time.Time, id string, result error) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[id]
	if u == nil {
		return false
	}
	c := &u.probes
	first := !c.known
	c.known = true
	if result != nil {
		c.reason = result.Error()
	}
	if c.down == (result != nil) {
		c.contradicting = 0
		return false
	}
	c.contradicting++
	need := p.options.Rise
	if !c.down {
		need = p.options.Fall
	}
	if c.contradicting < need && !first {
		return false
	}
	c.down, c.contradicting = !c.down, 0
	p.update(now)
	return true
}

// Wavers reports whether the last probes of an upstream contradict its state, but are not yet enough to change it. The caller
// should then probe again soon.
func (p *Pool) Wavers(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[id]
	return u != nil && u.probes.contradicting > 0
}

// ForgetProbes discards the results of all probes, so that no upstream is down because of them. Call it when probing ends.
func (p *Pool) ForgetProbes(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		u.probes = probes{}
	}
	p.update(now)
}

// Drain begins the operator's drain of an upstream, which then gets no new connections, or ends the drain if on is false. It
// reports whether the ID is known.
func (p *Pool) Drain(now time.Time, id string, on bool) bool {
	return p.drain(now, id, on, func(u *Upstream) *bool { return &u.drained })
}

// DrainReported is like [Pool.Drain], for a drain that the server itself reports. The two drains are independent: an upstream is
// ready only if both have ended.
func (p *Pool) DrainReported(now time.Time, id string, on bool) bool {
	return p.drain(now, id, on, func(u *Upstream) *bool { return &u.leaving })
}

func (p *Pool) drain(now time.Time, id string, on bool, which func(*Upstream) *bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[id]
	if u == nil {
		return false
	}
	if flag := which(u); *flag != on {
		*flag = on
		p.update(now)
	}
	return true
}

// ReportLoad records the total number of connections that the server of u reports. The package documentation describes how it is
// combined with the connections of this pool. The load is limited to the range from 0 to 1<<24.
func (p *Pool) ReportLoad(now time.Time, u *Upstream, load int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID[u.id] != u {
		return
	}
	was := u.full()
	u.others, u.reported = max(0, min(load, maxReportedLoad)-u.live), now
	p.scheduleUpdate(now.Add(reportValidity))
	if u.full() != was {
		p.stale = true
	}
}
