package limit

import (
	"sync"
	"time"
)

// Breaker stops calls to a failing service. After a number of consecutive failures it allows no calls during a pause; then it
// allows one call, whose result determines whether others are allowed. Create it with [NewBreaker]. It is safe for concurrent use.
type Breaker struct {
	limit int
	pause time.Duration

	mu       sync.Mutex
	failures int // number of consecutive failures
	until    time.Time
	probing  bool
}

// NewBreaker returns a Breaker that pauses after the given number of consecutive failures.
func NewBreaker(failures int, pause time.Duration) *Breaker {
	return &Breaker{limit: failures, pause: pause}
}

// Begin returns either the time to wait before the next call, or 0 and the function done. The caller must call done once after the
// call, and report whether the service is alive.
func (b *Breaker) Begin() (done func(alive bool), wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < b.limit {
		return b.end, 0
	}
	if wait := time.Until(b.until); wait > 0 {
		return nil, wait
	}
	if b.probing {
		return nil, time.Second
	}
	b.probing = true
	return b.probed, 0
}

// end records the result of a call that began outside a pause.
func (b *Breaker) end(alive bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.failures >= b.limit: // the pause has already begun: late results do not prolong the pause
	case alive:
		b.failures = 0
	default:
		if b.failures++; b.failures >= b.limit {
			b.until = time.Now().Add(b.pause)
		}
	}
}

// probed records the result of a probe.
func (b *Breaker) probed(alive bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if alive {
		b.failures = 0
	} else {
		b.until = time.Now().Add(b.pause)
	}
}
