package proxy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errQueue reports that too many handshakes are waiting already, or that the wait was too long.
var errQueue = errors.New("proxy: too many handshakes are waiting for a server")

// queue holds the handshakes that wait for a server with a free slot, in order. The zero value is an empty queue.
type queue struct {
	mu      sync.Mutex
	waiting []chan struct{}
	closed  bool
}

// wait waits for the caller's turn to look for a slot again, for at most d. most is the maximum number of waiting callers.
func (q *queue) wait(ctx context.Context, limit int, d time.Duration) error {
	turn := make(chan struct{})
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	if len(q.waiting) >= limit {
		q.mu.Unlock()
		return errQueue
	}
	q.waiting = append(q.waiting, turn)
	q.mu.Unlock()
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-turn:
		return nil
	case <-late.C:
		q.leave(turn)
		return errQueue
	case <-ctx.Done():
		q.leave(turn)
		return context.Cause(ctx)
	}
}

// leave removes a caller that no longer waits. If its turn has come meanwhile, the next one gets it.
func (q *queue) leave(turn chan struct{}) {
	q.mu.Lock()
	i := slices.Index(q.waiting, turn)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 {
		q.next()
	}
}

// next gives the first waiting caller its turn: there may be a free slot.
func (q *queue) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// close gives all waiting callers their turn. From then on wait returns ErrClosed.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, turn := range q.waiting {
		close(turn)
	}
	q.waiting = nil
}
