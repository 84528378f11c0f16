package auth

import (
	"sync"
	"time"
)

// quota bounds how often something may happen for each name in a window of time.
type quota struct {
	limit int

	mu sync.Mutex
	windows[string]
}

func newQuota(window time.Duration, limit, max int) *quota {
	return &quota{limit: limit, windows: newWindows[string](window, max)}
}

// take counts one for name, and returns 0; or how long to wait, when that would be too many.
func (q *quota) take(name string) time.Duration {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if n, until := q.at(name, now); n >= q.limit {
		return until.Sub(now)
	}
	q.add(name, now)
	return 0
}
