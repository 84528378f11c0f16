package auth

import (
	"container/list"
	"time"
)

// windows counts events for each key, in time windows that begin with the first event. If there are too many keys, the window that
// began first is forgotten. It is not safe for concurrent use.
type windows[K comparable] struct {
	window time.Duration
	max    int
	count  map[K]*list.Element
	order  list.List // of *counted[K], ordered by beginning, and by end as well, because all windows are equally long
}

type counted[K comparable] struct {
	key   K
	n     int
	until time.Time
}

func newWindows[K comparable](window time.Duration, max int) windows[K] {
	return windows[K]{window: window, max: max, count: map[K]*list.Element{}}
}

// at returns the count for key and the end of its window. The count is 0 if the window has ended or never began.
func (w *windows[K]) at(key K, now time.Time) (n int, until time.Time) {
	for e := w.order.Front(); e != nil && !now.Before(e.Value.(*counted[K]).until); e = w.order.Front() {
		w.drop(e)
	}
	e, ok := w.count[key]
	if !ok {
		return 0, time.Time{}
	}
	c := e.Value.(*counted[K])
	return c.n, c.until
}

// add counts one event for key.
func (w *windows[K]) add(key K, now time.Time) {
	e, ok := w.count[key]
	if !ok {
		if w.order.Len() >= w.max {
			w.drop(w.order.Front())
		}
		e = w.order.PushBack(&counted[K]{key: key, until: now.Add(w.window)})
		w.count[key] = e
	}
	e.Value.(*counted[K]).n++
}

// sub removes one event from the count for key, if its window is still known.
func (w *windows[K]) sub(key K) {
	e, ok := w.count[key]
	if !ok {
		return
	}
	if c := e.Value.(*counted[K]); c.n > 1 {
		c.n--
	} else {
		w.drop(e)
	}
}

func (w *windows[K]) drop(e *list.Element) {
	w.order.Remove(e)
	delete(w.count, e.Value.(*counted[K]).key)
}
