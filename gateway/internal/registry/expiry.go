package registry

import (
	"container/heap"
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/handfast/handfast/websocket"
)

// CodeUnauthorized is what a connection is closed with whose credential no longer holds: it has expired, or was revoked.
// The client comes back with a new one. It is 401 in the range that RFC 6455 §7.4.2 leaves to applications.
const CodeUnauthorized websocket.Code = 4401

// Expired is the reason of such a close.
const Expired = "token expired"

// expiryHeap is the open connections that have something to come, the soonest first.
type expiryHeap []*Entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *expiryHeap) Push(x any) {
	e := x.(*Entry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}

// schedule puts e where its next event belongs. mu is held.
func (g *Registry) schedule(e *Entry, now time.Time) {
	if e.Expires.IsZero() {
		return
	}
	e.due = e.Expires
	if warn := e.Expires.Add(-e.Warn); e.Warn > 0 && !e.warned {
		e.due = warn
		if warn.Before(now) { // it came with less time than that: it is told at once
			e.due = now
		}
	}
	heap.Push(&g.expiring, e)
	if e.index == 0 {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

// unschedule takes e out. mu is held.
func (g *Registry) unschedule(e *Entry) {
	if e.index >= 0 {
		heap.Remove(&g.expiring, e.index)
	}
}

// lookAgain bounds how late an expiry is noticed when the clock jumps, or the machine has slept: a timer counts neither.
const lookAgain = 10 * time.Second

// Run tells connections that their credential is about to expire, and closes them when it has, until ctx ends. One
// goroutine and one timer do so for all.
func (g *Registry) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if wait, some := g.expire(time.Now()); some {
			timer.Reset(min(wait, lookAgain))
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-g.wake:
		case <-ctx.Done():
			return
		}
	}
}

// expire does what is due, and returns how long it is until the next event, if there is any.
func (g *Registry) expire(now time.Time) (wait time.Duration, some bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.expiring) > 0 {
		e := g.expiring[0]
		if wait := e.due.Sub(now); wait > 0 {
			return wait, true
		}
		heap.Pop(&g.expiring)
		if !e.Expires.After(now) {
			g.dismiss(e, CodeUnauthorized, Expired)
			continue
		}
		e.warned = true
		go e.warn(e.Expires.Sub(now))
		g.schedule(e, now)
	}
	return 0, false
}

// warn sends {"type":"refresh","expires_in":30}: the connection will be closed in that many seconds.
func (e *Entry) warn(left time.Duration) {
	text, err := json.Marshal(struct {
		Type string `json:"type"`
		In   int    `json:"expires_in"`
	}{"refresh", int(math.Ceil(left.Seconds()))})
	if err != nil {
		return // a string and a number can be marshaled
	}
	p, err := websocket.Prepare(websocket.Message{Type: websocket.Text, Data: text})
	if err != nil {
		return // it is text
	}
	_ = e.Conn().SendPrepared(p) // a peer that does not read is closed soon enough
}
