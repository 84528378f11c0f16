package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrBusy says that too many calls are under way.
var ErrBusy = errors.New("too many calls are under way")

// Calls bounds how many calls run concurrently, how many more wait for their turn, and how long. A service that stalls then
// holds no more than those, and the rest fails immediately.
type Calls struct {
	slots   chan struct{}
	queue   int64
	wait    time.Duration
	waiting atomic.Int64
}

// NewCalls makes a bound of most calls; queue of them, if it is not negative, may wait for wait at most.
func NewCalls(most, queue int, wait time.Duration) *Calls {
	return &Calls{slots: make(chan struct{}, most), queue: int64(queue), wait: wait}
}

// Begin waits for a turn. Without an error the caller calls End. The errors are ErrBusy and the context's.
func (c *Calls) Begin(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	defer c.waiting.Add(-1)
	if n := c.waiting.Add(1); c.queue >= 0 && n > c.queue {
		return ErrBusy
	}
	timer := time.NewTimer(c.wait)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// End gives the turn back.
func (c *Calls) End() { <-c.slots }

// Running returns how many calls are under way.
func (c *Calls) Running() int { return len(c.slots) }
