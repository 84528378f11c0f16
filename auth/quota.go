package auth

import (
	"sync"
	"time"
)

// quota limits how often an event may occur for each name in a time window.
type quota struct {
	limit int

	mu sync.Mutex
	windows[string]
}

func newQuota(window time.Duration, limit, max int) *quota {
	return &quota{limit: limit, windows: newWindows[string](window, max)}
}

// take counts one event for name and returns 0, or returns how long to wait if the limit is reached.
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
