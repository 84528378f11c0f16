package balance

import (
	"math/rand/v2"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// Pace spaces events, such as moves of connections, at a rate with jitter. Make it with [NewPace]. It is not safe for concurrent
// use.
type Pace struct {
	perSecond, jitter float64
	rnd               *rand.Rand
	bucket            limit.Bucket
}

// NewPace returns a Pace of perSecond events. Each interval between two events differs from the average by at most the fraction
// jitter, from 0 to 1. A rate of zero or less means no limit. src is the source of randomness; nil means one with a random seed.
func NewPace(perSecond, jitter float64, src rand.Source) *Pace {
	return &Pace{perSecond: perSecond, jitter: min(max(jitter, 0), 1), rnd: source(src)}
}

// Next returns 0 if the next event is due at now, and counts it; otherwise it returns how long to wait before asking again. After a
// pause without calls, the following intervals are not shorter.
func (p *Pace) Next(now time.Time) (wait time.Duration) {
	interval := 1 + p.jitter*(2*p.rnd.Float64()-1)
	const shortest = 1e-9 // an interval of zero would mean no limit
	_, wait = p.bucket.Allow(now, p.perSecond/max(interval, shortest), 1)
	return wait
}

// SetRate changes the rate, beginning with the next event.
func (p *Pace) SetRate(perSecond float64) { p.perSecond = perSecond }
