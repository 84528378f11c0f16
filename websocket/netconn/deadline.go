package netconn

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// deadline is a time that may be moved, as a context for the calls that it bounds.
type deadline struct {
	mu     sync.Mutex
	ctx    context.Context // its cause is os.ErrDeadlineExceeded or net.ErrClosed
	cancel context.CancelCauseFunc
	timer  *time.Timer // nil if there is no time limit
	closed bool
}

func newDeadline() *deadline {
	d := &deadline{}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	return d
}

// context returns the context for a call that begins now. It stays the same while the time is moved, until it has passed.
func (d *deadline) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

// set moves the time; the zero time means that there is none. It reports false after close.
func (d *deadline) set(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if d.timer != nil && !d.timer.Stop() {
		d.cancel(os.ErrDeadlineExceeded) // it has passed, whether its function has run or not
	}
	d.timer = nil
	left := time.Until(t)
	if d.ctx.Err() != nil && (t.IsZero() || left > 0) {
		d.ctx, d.cancel = context.WithCancelCause(context.Background())
	}
	if t.IsZero() {
		return true
	}
	if left <= 0 {
		d.cancel(os.ErrDeadlineExceeded)
		return true
	}
	cancel := d.cancel
	d.timer = time.AfterFunc(left, func() { cancel(os.ErrDeadlineExceeded) })
	return true
}

// close ends all calls with net.ErrClosed. It reports false when that was done before.
func (d *deadline) close() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.ctx.Err() != nil {
		d.ctx, d.cancel = context.WithCancelCause(context.Background())
	}
	d.cancel(net.ErrClosed)
	return true
}
