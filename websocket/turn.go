package websocket

import (
	"context"
	"errors"
	"slices"
	"time"
)

// errCtx is returned by a wait that ended because its context is done; interrupted converts it to the caller's error.
var errCtx = errors.New("websocket: the context has ended")

// turn is a lock for which a caller can wait with a context. Waiters get the turn in the order of their calls. The Conn's mu guards
// it.
type turn struct {
	held  bool
	queue []chan struct{} // the waiters; closing a channel gives the turn to its waiter
}

// tryAcquire takes t if it is free. The caller holds mu.
func (t *turn) tryAcquire() bool {
	if t.held {
		return false
	}
	t.held = true
	return true
}

// release releases t or passes it to the next waiter. The caller holds mu and the turn.
func (t *turn) release() {
	if len(t.queue) == 0 {
		t.held = false
		return
	}
	next := t.queue[0]
	t.queue = slices.Delete(t.queue, 0, 1)
	if len(t.queue) == 0 {
		t.queue = nil
	}
	close(next)
}

// wait waits for t until ctx is done or the connection has ended. The caller holds mu, which wait releases while it waits.
func (c *Conn) wait(ctx context.Context, t *turn) error {
	if c.closeErr != nil {
		return c.closeErr
	}
	if t.tryAcquire() {
		return nil
	}
	mine := make(chan struct{})
	t.queue = append(t.queue, mine)
	done := c.endedChan()
	c.mu.Unlock()
	var err error
	select {
	case <-mine:
	case <-ctx.Done():
		err = errCtx
	case <-done:
	}
	c.mu.Lock()
	if i := slices.Index(t.queue, mine); i >= 0 {
		t.queue = slices.Delete(t.queue, i, i+1)
	} else if err != nil || c.closeErr != nil {
		t.release() // the turn was given to this waiter at the same moment
		c.inbox.wakePing()
	}
	if c.closeErr != nil {
		return c.closeErr
	}
	return err
}

// watch keeps one context registered over any number of calls, so that the context interrupts their waits when it is done. Another
// call with the same context costs nothing. A Conn has two watches, for reads and for writes, which share one registration if they
// have the same context.
type watch struct {
	done <-chan struct{} // ctx.Done(): channels can be compared, while contexts need not be comparable
	stop func() bool     // ends the registration; nil if the other watch owns it
}

// watch makes w, which is c.readCtx or c.writeCtx, watch ctx. other is the other watch of c. The caller holds mu.
func (c *Conn) watch(ctx context.Context, w, other *watch) {
	done := ctx.Done()
	if done == w.done {
		return
	}
	w.drop(other)
	if done == nil {
		return
	}
	w.done = done
	if other.done != done {
		w.stop = context.AfterFunc(ctx, func() { c.wakeFor(done) })
	}
}

// drop stops watching the context, and passes the registration to other if other watches the same context.
func (w *watch) drop(other *watch) {
	if w.stop != nil {
		if other.done == w.done {
			other.stop = w.stop
		} else {
			w.stop()
		}
	}
	*w = watch{}
}

// wakeFor interrupts the calls that wait with a context that is done.
func (c *Conn) wakeFor(done <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox.wakeReadLocked()
	if c.outbox.writing && c.outbox.writeCtx.done == done {
		c.outbox.interruptWrite(errCtx)
	}
}

// interruptWrite interrupts the current write, unless it has completed. The caller holds mu.
func (o *outbox) interruptWrite(cause error) {
	o.interruptErr = cause
	o.c.stream.SetWriteDeadline(longAgo)
}

// clearInterrupt clears an interruption that came too late to affect a completed write. The caller holds mu.
func (o *outbox) clearInterrupt() {
	if o.interruptErr != nil {
		o.interruptErr = nil
		o.c.stream.SetWriteDeadline(o.writeBy)
	}
}

// boundWrites sets the deadline for later writes. An interrupted write is not resumed. The caller
// holds mu.
func (o *outbox) boundWrites(deadline time.Time) {
	o.writeBy = deadline
	if o.interruptErr == nil {
		o.c.stream.SetWriteDeadline(deadline)
	}
}

// wakeReadLocked interrupts a goroutine that waits for bytes, or is about to. That goroutine checks for the reason again, so an
// unnecessary call does no harm. The caller holds mu.
func (in *inbox) wakeReadLocked() {
	if in.waiting && !in.woken {
		in.woken = true
		in.c.stream.SetReadDeadline(longAgo)
	}
}
