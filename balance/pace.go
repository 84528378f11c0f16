package balance

import (
	"math/rand/v2"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// Pace spaces events, such as connections that are moved, at a rate with jitter. Make it with [NewPace]. It needs a lock of its
// owner.
type Pace struct {
	perSecond, jitter float64
	rnd               *rand.Rand
	bucket            limit.Bucket
}

// NewPace returns a Pace of perSecond events. Each interval between two is longer or shorter than the average by up to a part
// jitter of it, 0 to 1. Zero or less events per second means no limit. src is the source of randomness, nil for one with a random
// seed.
func NewPace(perSecond, jitter float64, src rand.Source) *Pace {
	return &Pace{perSecond: perSecond, jitter: min(max(jitter, 0), 1), rnd: source(src)}
}

// Next returns 0 if the next event is due at now, and counts it; otherwise how long to wait before asking again. A pause
// in which it is not called is not made up for: the intervals after it are not shorter.
func (p *Pace) Next(now time.Time) (wait time.Duration) {
	interval := 1 + p.jitter*(2*p.rnd.Float64()-1)
	const shortest = 1e-9 // an interval of zero would be no limit
	_, wait = p.bucket.Allow(now, p.perSecond/max(interval, shortest), 1)
	return wait
}

// SetRate changes the rate from the next event on.
func (p *Pace) SetRate(perSecond float64) { p.perSecond = perSecond }
