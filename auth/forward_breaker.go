package auth

import (
	"errors"
	"sync"
	"time"
)

var errForwardPause = errors.New("the auth service has failed again and again, and is not asked for a while")

// forwardBreaker stops asking a service that fails: after limit failures in a row no request asks for a pause; then one asks,
// and its luck decides for all.
type forwardBreaker struct {
	limit int
	pause time.Duration

	mu       sync.Mutex
	failures int // in a row
	until    time.Time
	probing  bool
}

// begin returns how long not to ask, or, with 0, what to call with whether the service is alive.
func (b *forwardBreaker) begin() (done func(alive bool), wait time.Duration) {
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

// end counts the end of a question that was asked while all seemed well.
func (b *forwardBreaker) end(alive bool) {
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
func (b *forwardBreaker) probed(alive bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if alive {
		b.failures = 0
	} else {
		b.until = time.Now().Add(b.pause)
	}
}
