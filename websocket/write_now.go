package websocket

import (
	"context"

	"github.com/handfast/handfast/websocket/internal/transport"
)

// What is in this file is what most writes do: on a socket that takes a small message at once, when nothing else is to go
// out first. Its calls have small frames, for the sake of a goroutine's first 2 KiB of stack.

// writesAtOnce reports whether a message of n bytes may go this way, as far as nothing but the connection decides.
func (c *Conn) writesAtOnce(n int) bool {
	return c.role == RoleServer && n <= together && c.stream.WritesAtOnce()
}

// takeIdleOut takes the out turn if nobody writes, nothing waits to be written and something may be. The caller holds mu.
func (c *Conn) takeIdleOut() bool {
	return c.entries == nil && len(c.ctl) == 0 && len(c.rest) == 0 && !c.message.held && !c.m.MessageOpen() &&
		c.closeErr == nil && c.closing == nil && c.werr == nil && c.out.take()
}

// writeNow writes m, and reports whether it has: if not, nothing of it is sent.
//
//go:noinline
func (c *Conn) writeNow(ctx context.Context, m Message) (done bool, err error) {
	c.mu.Lock()
	if ctx.Err() != nil || !c.takeIdleOut() {
		c.mu.Unlock()
		return false, nil //nolint:nilerr // write, which comes next, says so
	}
	buf := transport.Borrow()
	b := c.frameNow(buf, m)
	n, _ := c.stream.TryWrite(b) // who writes next meets the error, too
	if n > 0 && n < len(b) {
		return true, c.writeRest(ctx, buf, b[n:], n, len(m.Data))
	}
	c.giveOut()
	c.mu.Unlock()
	transport.Return(buf)
	return n > 0, nil
}

// queueNow is writeNow for a message whose sender does not wait for the rest of it.
//
//go:noinline
func (c *Conn) queueNow(m Message) (done bool) {
	c.mu.Lock()
	if c.batch.Load() || !c.takeIdleOut() {
		c.mu.Unlock()
		return false
	}
	buf := transport.Borrow()
	b := c.frameNow(buf, m)
	n, _ := c.stream.TryWrite(b) // who writes next meets the error, too
	if n > 0 && n < len(b) {
		c.rest = append(c.rest, b[n:]...)
		go c.passOut()
	} else {
		c.giveOut()
	}
	c.mu.Unlock()
	transport.Return(buf)
	return n > 0
}

// frameNow frames m in buf. The caller holds mu and the out turn.
//
//go:noinline
func (c *Conn) frameNow(buf *transport.Buffer, m Message) []byte {
	b, _ := c.m.AppendMessage(buf[:0], m.Type == Text, m.Data) // it cannot fail: no close frame is made
	return b
}

// writeRest waits until the rest of a frame is written, of which n bytes have been. The caller holds mu and the out turn,
// and loses both.
func (c *Conn) writeRest(ctx context.Context, buf *transport.Buffer, rest []byte, n, size int) error {
	c.writing = true
	c.watch(ctx, &c.writeCtx, &c.readCtx)
	c.mu.Unlock()
	k, err := c.stream.Write(rest, &c.moved)
	transport.Return(buf)
	return c.wrote(ctx, n+k, size, err)
}
