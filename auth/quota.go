package auth

import (
	"container/list"
	"sync"
	"time"
)

// quota bounds how often something may happen for each name in a window of time, which begins with the first time. When
// there are too many names the window that began first is forgotten.
type quota struct {
	window     time.Duration
	limit, max int

	mu    sync.Mutex
	count map[string]*list.Element
	order list.List // of *quotaCount, by beginning; since all windows are equally long, by end as well
}

type quotaCount struct {
	name  string
	n     int
	until time.Time
}

func newQuota(window time.Duration, limit, max int) *quota {
	return &quota{window: window, limit: limit, max: max, count: map[string]*list.Element{}}
}

// take counts one for name, and returns 0; or how long to wait, when that would be too many.
func (q *quota) take(name string) time.Duration {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for e := q.order.Front(); e != nil && !now.Before(e.Value.(*quotaCount).until); e = q.order.Front() {
		q.drop(e)
	}
	e, ok := q.count[name]
	if !ok {
		if q.order.Len() >= q.max {
			q.drop(q.order.Front())
		}
		e = q.order.PushBack(&quotaCount{name: name, until: now.Add(q.window)})
		q.count[name] = e
	}
	c := e.Value.(*quotaCount)
	if c.n >= q.limit {
		return c.until.Sub(now)
	}
	c.n++
	return 0
}

func (q *quota) drop(e *list.Element) {
	q.order.Remove(e)
	delete(q.count, e.Value.(*quotaCount).name)
}
