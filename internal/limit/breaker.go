package limit

import (
	"sync"
	"time"
)

// Breaker stops calls of a service that fails: after so many failures in a row there are none for a pause; then one is made,
// and how it ends decides for all. Make it with [NewBreaker]. It may be used from any goroutine.
type Breaker struct {
	limit int
	pause time.Duration

	mu       sync.Mutex
	failures int // in a row
	until    time.Time
	probing  bool
}

// NewBreaker makes a Breaker that pauses after so many failures in a row.
func NewBreaker(failures int, pause time.Duration) *Breaker {
	return &Breaker{limit: failures, pause: pause}
}

// Begin returns how long to make no call, or, with 0, what to call once with whether the service is alive.
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

// end counts the end of a call that was begun while all seemed well.
func (b *Breaker) end(alive bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.failures >= b.limit: // it has been judged meanwhile: those who come late do not prolong the pause
	case alive:
		b.failures = 0
	default:
		if b.failures++; b.failures >= b.limit {
			b.until = time.Now().Add(b.pause)
		}
	}
}

// probed ends a probe.
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
