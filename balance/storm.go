package balance

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// StormOptions configure a [Storm]. The zero value is usable.
type StormOptions struct {
	// Floor is the rate of handshakes per second that is always admitted. Zero means 1000, which is also the minimum.
	Floor float64

	// Target is the average duration of handshakes with the upstreams above which the rate falls. Zero means 500 ms.
	Target time.Duration

	// Source is the source of randomness; nil means one with a random seed.
	Source rand.Source
}

const (
	minFloor      = 1000
	defaultTarget = 500 * time.Millisecond

	window           = 100 * time.Millisecond // duration of a measurement; at its end the rate may change
	increase         = 0.1                    // part of the floor by which the rate rises in a window
	decrease         = 0.7                    // factor of a decrease of the rate, at most once per second
	decreaseCooldown = time.Second            // time after a decrease in which handshakes admitted before it do not cause another
	maxFailedShare   = 0.1                    // part of the handshakes in a window that may fail

	newHandshakeShare = 0.1 // part of the rate that is reserved for handshakes that do not resume a session

	maxReconnectDelay = time.Minute // the longest Retry-After before jitter
	resetAfter        = time.Minute // after this time without a refusal the measurements are discarded
)

// Storm limits handshakes to a measured rate if there are more clients than the upstreams can handle: after the restart of a server
// or a network failure, all clients reconnect at the same time. Make it with [NewStorm]. Its methods are safe for concurrent use
// and do not block.
//
// All handshakes are admitted until they take longer than the target on average, more than a tenth fail, or more are in progress
// than can end within the target at the floor. From then on the rate is limited: at first to 0.7 of the rate that the upstreams
// have handled, and never below the floor.
//
// The rate follows additive increase and multiplicative decrease (Chiu and Jain, 1989; TCP's congestion control). While handshakes
// are refused and the admitted ones take less than the target on average, it rises by a tenth of the floor ten times a second. If
// they take longer, if more than a tenth fail, or if more are in progress than can end within the target at this rate, it falls to
// 0.7 of itself, at most once a second and never below the floor. A decrease does not depend on handshakes that end: a server that
// accepts connections and hangs is noticed. After a minute without a refusal everything is admitted again.
//
// The rate is that of a token bucket. In one burst, new handshakes may take the tokens of one second, and those that resume a
// session the tokens of two. Handshakes that resume a session have priority: when the bucket holds the tokens of less than one
// second, they get the whole rate except for a tenth, which is for new handshakes.
//
// A refused client gets a time to reconnect: the time until the rate provides a token that was not promised to another refused
// client, but at least a second, plus a jitter of up to a second and a quarter of the time. So the refused clients reconnect at the
// rate at which they can be admitted, and not together.
type Storm struct {
	floor  float64
	target time.Duration

	mu           sync.Mutex
	rnd          *rand.Rand
	limited      bool // the rate applies
	rate         float64
	tokens       limit.Bucket
	newTokens    limit.Bucket // the part of the rate for new handshakes
	lastPromised time.Time    // time of the last token promised to a refused client

	inProgress    int
	totalDuration time.Duration // total duration of completed handshakes since the start
	windowStart   time.Time     // beginning of the window
	nextDecrease  time.Time     // no decrease before this time
	lastRefusal   time.Time     // time of the last refusal
	measured      counts        // counts of the window
	admitted      byPriority
	refused       byPriority
}

// byPriority counts handshakes.
type byPriority struct{ all, resuming uint64 }

func (n *byPriority) add(resuming bool) {
	n.all++
	if resuming {
		n.resuming++
	}
}

// counts are the counts of one window.
type counts struct {
	refused, done, failed int

	duration time.Duration // total duration of the completed handshakes
}

// NewStorm returns a Storm that admits everything until the upstreams are overloaded.
func NewStorm(o StormOptions) *Storm {
	if o.Target <= 0 {
		o.Target = defaultTarget
	}
	s := &Storm{floor: max(o.Floor, minFloor), target: o.Target, rnd: source(o.Source)}
	s.rate = s.floor
	return s
}

// Admit returns 0 if the handshake may begin. The caller then calls Begin when it passes the handshake to an upstream, and Done
// when the handshake is over, once each. Otherwise the handshake is refused, and the result is the value for Retry-After, at least
// a second, including jitter. resuming means that the client continues a session.
func (s *Storm) Admit(now time.Time, resuming bool) (retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adjust(now)
	if !s.limited || s.takeToken(now, resuming) {
		s.admitted.add(resuming)
		return 0
	}
	s.measured.refused++
	s.refused.add(resuming)
	s.lastRefusal = now
	if s.lastPromised.Before(now) {
		s.lastPromised = now
	}
	s.lastPromised = s.lastPromised.Add(time.Duration(float64(time.Second) / s.rate))
	if latest := now.Add(maxReconnectDelay); s.lastPromised.After(latest) {
		s.lastPromised = latest
	}
	wait := max(s.lastPromised.Sub(now), time.Second)
	return wait + time.Duration(s.rnd.Float64()*float64(time.Second+wait/4))
}

// takeToken takes a token. The bucket holds the tokens of two seconds for handshakes that resume, and the tokens of one second for
// new handshakes. The part of the rate that is reserved for new handshakes is taken from the bucket even if the bucket is empty, so
// that handshakes that resume have to wait. The bucket stores a time, so its size in seconds must stay the same when the rate
// changes: a constant number of tokens would overdraw it.
func (s *Storm) takeToken(now time.Time, resuming bool) bool {
	second := int(s.rate)
	most := second
	if resuming {
		most = 2 * second
	}
	if ok, _ := s.tokens.Allow(now, s.rate, most); ok {
		return true
	}
	if resuming {
		return false
	}
	kept := s.rate * newHandshakeShare
	if ok, _ := s.newTokens.Allow(now, kept, int(kept)); !ok {
		return false
	}
	ok, _ := s.tokens.Allow(now, s.rate, 3*second)
	return ok
}

// Begin reports that an admitted handshake is now with an upstream. Before that, the handshake indicates nothing about the
// upstreams: it may wait for a slot, or end without one.
func (s *Storm) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inProgress++
}

// Done reports the end of a handshake that has begun: how long the upstreams took, without the wait for a slot, and whether one of
// them served the client. A handshake that the client has abandoned, or that fails because of the client, is ok.
func (s *Storm) Done(now time.Time, took time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inProgress--
	s.measured.done++
	s.measured.duration += took
	s.totalDuration += took
	if !ok {
		s.measured.failed++
	}
	s.adjust(now)
}

// adjust changes the rate at the end of a window.
func (s *Storm) adjust(now time.Time) {
	if s.limited && now.Sub(s.lastRefusal) >= resetAfter {
		s.limited, s.rate = false, s.floor
	}
	if !s.limited && s.tooManyInProgress() {
		s.limit(now)
	}
	if now.Sub(s.windowStart) < window {
		return
	}
	switch {
	case s.overloaded() && !s.limited:
		s.limit(now)
	case s.overloaded():
		if !now.Before(s.nextDecrease) {
			s.rate = max(s.floor, s.rate*decrease)
			s.nextDecrease = now.Add(decreaseCooldown)
		}
	case s.measured.refused > 0 && s.measured.done > 0:
		s.rate += s.floor * increase
	}
	s.windowStart, s.measured = now, counts{}
}

// overloaded reports whether the window shows that the upstreams are overloaded.
func (s *Storm) overloaded() bool {
	c := s.measured
	if c.done > 0 && (c.duration/time.Duration(c.done) > s.target || float64(c.failed) > maxFailedShare*float64(c.done)) {
		return true
	}
	return s.tooManyInProgress()
}

// tooManyInProgress reports whether more handshakes are in progress than can end within the target at the rate (Little's law), plus
// a burst of two seconds.
func (s *Storm) tooManyInProgress() bool {
	return float64(s.inProgress) > s.rate*(s.target.Seconds()+2)
}

// limit starts to limit the rate: to a fraction of the rate that the upstreams handled in this window.
func (s *Storm) limit(now time.Time) {
	s.limited, s.lastRefusal, s.nextDecrease = true, now, now.Add(decreaseCooldown)
	s.rate = max(s.floor, decrease*float64(s.measured.done-s.measured.failed)/max(now.Sub(s.windowStart), window).Seconds())
}

// StormStatus is the state of a Storm.
type StormStatus struct {
	Limited  bool    `json:"limited"`  // the rate applies; otherwise everything is admitted
	Rate     float64 `json:"rate"`     // handshakes per second
	Underway int     `json:"underway"` // with an upstream now
	Admitted uint64  `json:"admitted"` // since the start
	Refused  uint64  `json:"refused"`  // since the start

	// AdmittedResuming and RefusedResuming count those of Admitted and Refused that resume a session.
	AdmittedResuming uint64 `json:"admitted_resuming"`
	RefusedResuming  uint64 `json:"refused_resuming"`

	Took time.Duration `json:"took"` // total time of the upstreams for completed handshakes, in nanoseconds
}

// Status returns the rate at now, and the counts.
func (s *Storm) Status(now time.Time) StormStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adjust(now)
	return StormStatus{
		Limited: s.limited, Rate: s.rate, Underway: s.inProgress, Took: s.totalDuration,
		Admitted: s.admitted.all, AdmittedResuming: s.admitted.resuming, Refused: s.refused.all, RefusedResuming: s.refused.resuming,
	}
}
