package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrBusy reports that too many calls are in progress.
var ErrBusy = errors.New("too many calls are under way")

// Calls limits the number of concurrent calls, the number of waiting calls, and the time of the wait. Thus a stalled service blocks
// only a limited number of calls, and others fail immediately.
type Calls struct {
	slots   chan struct{}
	queue   int64
	wait    time.Duration
	waiting atomic.Int64
}

// NewCalls returns a Calls. most is the maximum number of concurrent calls, queue the maximum number of waiting calls, and wait the
// maximum time of a wait. A negative queue means no limit.
func NewCalls(most, queue int, wait time.Duration) *Calls {
	return &Calls{slots: make(chan struct{}, most), queue: int64(queue), wait: wait}
}

// Begin waits for a slot. If there is no error, the caller must call End. The errors are ErrBusy and the context's.
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

// End releases the slot.
func (c *Calls) End() { <-c.slots }

// Running returns the number of calls in progress.
func (c *Calls) Running() int { return len(c.slots) }
