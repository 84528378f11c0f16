package websocket

import (
	"context"
	"errors"
	"slices"
)

// errCtx is returned by a wait that its context ended; interrupted makes of it what a caller is told.
var errCtx = errors.New("websocket: the context has ended")

// turn is a lock that can be waited for with a context, and is handed over in the order of asking. It lies under its
// Conn's mu.
type turn struct {
	held  bool
	queue []chan struct{} // who waits; closing one hands the turn over
}

// take takes t when it is free. The caller holds mu.
func (t *turn) take() bool {
	if t.held {
		return false
	}
	t.held = true
	return true
}

// give frees t or hands it to the next. The caller holds mu and the turn.
func (t *turn) give() {
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

// wait waits for t until ctx is done or the connection has ended. The caller holds mu; wait gives it up while waiting
// and holds it again when it returns.
func (c *Conn) wait(ctx context.Context, t *turn) error {
	if c.closeErr != nil {
		return c.closeErr
	}
	if t.take() {
		return nil
	}
	mine := make(chan struct{})
	t.queue = append(t.queue, mine)
	c.mu.Unlock()
	var err error
	select {
	case <-mine:
	case <-ctx.Done():
		err = errCtx
	case <-c.done:
	}
	c.mu.Lock()
	if i := slices.Index(t.queue, mine); i >= 0 {
		t.queue = slices.Delete(t.queue, i, i+1)
	} else if err != nil || c.closeErr != nil {
		t.give() // it was handed over in the same moment
	}
	if c.closeErr != nil {
		return c.closeErr
	}
	return err
}

// watch keeps one context registered, so that its end interrupts what waits, over any number of calls: a call with the
// same context costs nothing.
type watch struct {
	done <-chan struct{} // of the context; channels can be compared, contexts need not be comparable
	stop func() bool
	id   uint64
}

// set registers ctx in place of the one before, to call f with the registration's id. The caller holds mu.
func (w *watch) set(ctx context.Context, f func(id uint64)) {
	done := ctx.Done()
	if done == w.done {
		return
	}
	w.clear()
	if done == nil {
		return
	}
	id := w.id
	w.done = done
	w.stop = context.AfterFunc(ctx, func() { f(id) })
}

// clear lets go of the context. The caller holds mu.
func (w *watch) clear() {
	if w.stop != nil {
		w.stop()
	}
	w.done, w.stop = nil, nil
	w.id++
}

// wakeRead interrupts whoever waits for bytes. It looks again at why, so waking it for nothing does no harm. A read that
// is about to begin is interrupted too.
func (c *Conn) wakeRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeReadLocked()
}

func (c *Conn) wakeReadLocked() {
	if c.waiting && !c.woken {
		c.woken = true
		c.stream.SetReadDeadline(longAgo)
	}
}

// wakeWrite interrupts the write under way, if it is the one that watches context number id.
func (c *Conn) wakeWrite(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing && c.writeCtx.id == id {
		c.stream.SetWriteDeadline(longAgo)
	}
}
