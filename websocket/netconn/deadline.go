package netconn

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// deadline is a time limit that may be changed. It provides a context for the calls that it limits.
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

// context returns the context for a new call. A new time does not replace the context unless the old time has passed.
func (d *deadline) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

// set changes the time; the zero time means no limit. It returns false after close.
func (d *deadline) set(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if d.timer != nil && !d.timer.Stop() {
		d.cancel(os.ErrDeadlineExceeded) // the time has passed, whether the timer's function has run or not
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

// close ends all calls with net.ErrClosed. It returns false if it was called before.
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
