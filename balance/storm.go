package balance

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// StormOptions configure a [Storm]. The zero value is usable.
type StormOptions struct {
	// Floor is the rate of handshakes per second that is always admitted. Zero means 1000; less is
	// taken as 1000.
	Floor float64

	// Target is how long a handshake with an upstream may take on average before the rate falls. Zero means 500 ms.
	Target time.Duration

	// Source is the source of randomness, nil for one with a random seed.
	Source rand.Source
}

const (
	leastFloor    = 1000
	defaultTarget = 500 * time.Millisecond

	window     = 100 * time.Millisecond // of measurement; the rate changes once in each
	increase   = 0.1                    // of the floor, in each window
	decrease   = 0.7                    // of the rate, at most once in a second
	settle     = time.Second            // after a decrease, for handshakes that were admitted before it
	mostFailed = 0.1                    // of the handshakes in a window

	newcomers = 0.1 // of the rate, for handshakes that do not resume, however many do

	latestReturn = time.Minute // the longest Retry-After before jitter
	forgotten    = time.Minute // what was measured, when nothing is refused for so long
)

// Storm admits handshakes at a rate that it measures, when more clients come than the upstreams can take: after a restart of a
// server or of a network, all of them come together. Make it with [NewStorm]. Its methods are safe for concurrent use and do not
// block.
//
// Everything is admitted until handshakes take longer than the target on average, more than a tenth fail, or more are under way than can
// end within the target at the floor. From then on there is a rate: at first 0.7 of what the upstreams have done, and never below the
// floor.
//
// The rate is that of additive increase and multiplicative decrease (Chiu and Jain, 1989; TCP's congestion control). As long as
// handshakes are refused and those that were admitted take less than the target on average, it rises by a tenth of the floor ten
// times a second. When they take longer, when more than a tenth fail, or when more are under way than can end within the target at
// this rate, it falls to 0.7 of itself, at most once a second and never below the floor. The decreases need no new handshake that
// ends: a server that accepts and hangs is noticed. After a minute without a refusal everything is admitted again.
//
// Handshakes that resume a session go before new ones: as long as fewer places than those of a second are left, they get all but a
// tenth of the rate, which is for new ones. What the rate admits in a second may come in one burst.
//
// A client that is refused gets a time to come back: the first moment at which the rate has a place that was not given to another
// refused client, but a second at least, and a jitter of a second and a quarter of the time. So the refused clients come back at the rate at
// which they can be admitted, and not together.
type Storm struct {
	floor  float64
	target time.Duration

	mu      sync.Mutex
	rnd     *rand.Rand
	limited bool // the rate is in force
	rate    float64
	places  limit.Bucket
	fresh   limit.Bucket // the part that is kept for new handshakes
	booked  time.Time    // the last place that was promised to a refused client

	underway int
	took     time.Duration // by all that are done, since the start
	began    time.Time     // of the window
	settled  time.Time     // no decrease before
	lately   time.Time     // the last refusal
	seen     counts        // in the window
	admitted byPriority
	refused  byPriority
}

// byPriority is a number of handshakes.
type byPriority struct{ all, resuming uint64 }

func (n *byPriority) add(resuming bool) {
	n.all++
	if resuming {
		n.resuming++
	}
}

// counts is what happened in one window.
type counts struct {
	refused, done, failed int

	took time.Duration // by all that are done, together
}

// NewStorm returns a Storm that admits everything until the upstreams cannot follow.
func NewStorm(o StormOptions) *Storm {
	if o.Target <= 0 {
		o.Target = defaultTarget
	}
	s := &Storm{floor: max(o.Floor, leastFloor), target: o.Target, rnd: source(o.Source)}
	s.rate = s.floor
	return s
}

// Admit returns 0 if the handshake may begin. Once it is with an upstream the caller calls Begin, and then Done, once each. Otherwise it is
// refused, and the result is what to send as Retry-After, at least a second, jitter included. resuming says that the client continues a
// session.
func (s *Storm) Admit(now time.Time, resuming bool) (retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adjust(now)
	if !s.limited || s.take(now, resuming) {
		s.admitted.add(resuming)
		return 0
	}
	s.seen.refused++
	s.refused.add(resuming)
	s.lately = now
	if s.booked.Before(now) {
		s.booked = now
	}
	s.booked = s.booked.Add(time.Duration(float64(time.Second) / s.rate))
	if latest := now.Add(latestReturn); s.booked.After(latest) {
		s.booked = latest
	}
	wait := max(s.booked.Sub(now), time.Second)
	return wait + time.Duration(s.rnd.Float64()*float64(time.Second+wait/4))
}

// take takes a place. The bucket has two seconds of the rate for those that resume, and one for new ones. The part that is kept
// for new ones is taken even if the bucket is empty, so that those that resume wait for it. The bucket remembers a time, so its size
// in seconds has to stay the same when the rate changes: it would be overdrawn if the size in places did.
func (s *Storm) take(now time.Time, resuming bool) bool {
	second := int(s.rate)
	most := second
	if resuming {
		most = 2 * second
	}
	if ok, _ := s.places.Allow(now, s.rate, most); ok {
		return true
	}
	if resuming {
		return false
	}
	kept := s.rate * newcomers
	if ok, _ := s.fresh.Allow(now, kept, int(kept)); !ok {
		return false
	}
	ok, _ := s.places.Allow(now, s.rate, 3*second)
	return ok
}

// Begin reports that a handshake which was admitted is with an upstream from now on. Until then it shows nothing about the upstreams: it
// may wait for a place, or end without one.
func (s *Storm) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway++
}

// Done reports that a handshake which has begun is over: how long the upstreams took, without what it has waited for a place, and
// whether one of them served the client. A handshake that the client has given up, or that is the client's fault, is ok.
func (s *Storm) Done(now time.Time, took time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway--
	s.seen.done++
	s.seen.took += took
	s.took += took
	if !ok {
		s.seen.failed++
	}
	s.adjust(now)
}

// adjust changes the rate at the end of a window.
func (s *Storm) adjust(now time.Time) {
	if s.limited && now.Sub(s.lately) >= forgotten {
		s.limited, s.rate = false, s.floor
	}
	if !s.limited && s.crowded() {
		s.limit(now)
	}
	if now.Sub(s.began) < window {
		return
	}
	switch {
	case s.overloaded() && !s.limited:
		s.limit(now)
	case s.overloaded():
		if !now.Before(s.settled) {
			s.rate = max(s.floor, s.rate*decrease)
			s.settled = now.Add(settle)
		}
	case s.seen.refused > 0 && s.seen.done > 0:
		s.rate += s.floor * increase
	}
	s.began, s.seen = now, counts{}
}

// overloaded reports whether the window shows that the upstreams cannot follow.
func (s *Storm) overloaded() bool {
	c := s.seen
	if c.done > 0 && (c.took/time.Duration(c.done) > s.target || float64(c.failed) > mostFailed*float64(c.done)) {
		return true
	}
	return s.crowded()
}

// crowded reports whether more handshakes are under way than can end within the target at the rate (Little's law), and a burst of two
// seconds.
func (s *Storm) crowded() bool { return float64(s.underway) > s.rate*(s.target.Seconds()+2) }

// limit begins to admit at a rate: a part of what the upstreams did in this window.
func (s *Storm) limit(now time.Time) {
	s.limited, s.lately, s.settled = true, now, now.Add(settle)
	s.rate = max(s.floor, decrease*float64(s.seen.done-s.seen.failed)/max(now.Sub(s.began), window).Seconds())
}

// StormStatus is what a Storm does at the moment.
type StormStatus struct {
	Limited  bool    `json:"limited"`  // the rate is in force; otherwise everything is admitted
	Rate     float64 `json:"rate"`     // handshakes per second
	Underway int     `json:"underway"` // with an upstream at the moment
	Admitted uint64  `json:"admitted"` // since the start
	Refused  uint64  `json:"refused"`  // since the start

	// Those of them that resume a session.
	AdmittedResuming uint64 `json:"admitted_resuming"`
	RefusedResuming  uint64 `json:"refused_resuming"`

	Took time.Duration `json:"took"` // by the upstreams for all that are done, together, in nanoseconds
}

// Status returns the rate that is in force at now, and the counts.
func (s *Storm) Status(now time.Time) StormStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adjust(now)
	return StormStatus{
		Limited: s.limited, Rate: s.rate, Underway: s.underway, Took: s.took,
		Admitted: s.admitted.all, AdmittedResuming: s.admitted.resuming, Refused: s.refused.all, RefusedResuming: s.refused.resuming,
	}
}
