// Package timeout provides contexts with a deadline that use a timer only while a goroutine waits for them. Most calls with such a
// context return without waiting.
package timeout

import (
	"context"
	"sync"
	"time"
)

// Context returns a context that is canceled with parent, when d has passed, or when the returned function is called, which the
// caller must do. It behaves like [context.WithTimeout], but does not call parent's Done before its own Done is called.
func Context(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	c := &lazyContext{parent: parent, until: time.Now().Add(d)}
	if at, ok := parent.Deadline(); ok && at.Before(c.until) {
		c.until = at
	}
	return c, c.end
}

// lazyContext is a context that creates another one, with a timer, when Done is first called.
type lazyContext struct {
	parent context.Context
	until  time.Time

	mu       sync.Mutex
	full     context.Context // nil until Done is called
	cancel   context.CancelFunc
	canceled bool // end was called
}

// Deadline implements [context.Context].
func (c *lazyContext) Deadline() (time.Time, bool) { return c.until, true }

// Done implements [context.Context].
func (c *lazyContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full == nil {
		c.createFull(c.parent)
	}
	return c.full.Done()
}

// Err implements [context.Context].
func (c *lazyContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full != nil {
		return c.full.Err()
	}
	return c.lazyErr()
}

// createFull creates the full context, a child of parent. The caller must hold mu, as for lazyErr.
func (c *lazyContext) createFull(parent context.Context) {
	if c.canceled {
		c.full, c.cancel = context.WithCancel(parent)
		c.cancel()
		return
	}
	c.full, c.cancel = context.WithDeadline(parent, c.until)
}

// lazyErr returns the error of the context while the full context does not exist.
func (c *lazyContext) lazyErr() error {
	if err := c.parent.Err(); err != nil {
		return err
	}
	switch {
	case c.canceled:
		return context.Canceled
	case !time.Now().Before(c.until):
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements [context.Context]. Package context looks up a parent by a private key: it finds the full context here, so a
// child needs no goroutine.
func (c *lazyContext) Value(key any) any {
	c.mu.Lock()
	from := c.parent
	if c.full != nil {
		from = c.full
	}
	c.mu.Unlock()
	return from.Value(key)
}

// end cancels the context.
func (c *lazyContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full == nil && !c.canceled && c.lazyErr() == context.DeadlineExceeded && c.parent.Err() == nil { //nolint:errorlint // lazyErr returns context.DeadlineExceeded unwrapped
		c.createFull(context.WithoutCancel(c.parent)) // so that Err returns DeadlineExceeded after a later cancellation of parent, too
	}
	c.canceled = true
	if c.cancel != nil {
		c.cancel()
	}
}
