package proxy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errQueue reports that too many wait already, or that the wait was too long.
var errQueue = errors.New("proxy: too many handshakes wait for a server")

// queue is the handshakes that wait for a server with room, in their order. The zero value is an empty one.
type queue struct {
	mu      sync.Mutex
	waiting []chan struct{}
	closed  bool
}

// wait waits until it is this one's turn to look again, for d at most. At most most may wait.
func (q *queue) wait(ctx context.Context, most int, d time.Duration) error {
	turn := make(chan struct{})
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	if len(q.waiting) >= most {
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

// leave takes out one that no longer waits. If its turn has come meanwhile, that is the next one's.
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

// next has the first one look again: there may be room.
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

// close has all who wait look again, and those who come later not wait.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, turn := range q.waiting {
		close(turn)
	}
	q.waiting = nil
}
