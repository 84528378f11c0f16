package websocket

import (
	"context"

	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// What is in this file is what most writes do: on a socket that takes a small message at once, when nothing else is to go
// out first. Its calls have small frames, for the sake of a goroutine's first 2 KiB of stack.

// writesAtOnce reports whether a message of n bytes may go this way, as far as nothing but the connection decides.
func (o *outbox) writesAtOnce(n int) bool {
	return o.c.role == RoleServer && n <= together && o.c.stream.WritesAtOnce()
}

// takeIdleOut takes the out turn if nobody writes, nothing waits to be written and something may be. The caller holds mu.
func (o *outbox) takeIdleOut() bool {
	return o.entries == nil && len(o.ctl) == 0 && len(o.rest) == 0 && !o.message.held && !o.c.m.MessageOpen() &&
		o.c.closeErr == nil && o.c.closing == nil && o.werr == nil && o.out.take()
}

// writeNow writes m, and reports whether it has: if not, nothing of it is sent.
//
//go:noinline
func (o *outbox) writeNow(ctx context.Context, m Message) (done bool, err error) {
	o.c.mu.Lock()
	if ctx.Err() != nil || !o.takeIdleOut() {
		o.c.mu.Unlock()
		return false, nil //nolint:nilerr // write, which comes next, says so
	}
	buf := transport.Borrow()
	b := frameNow(&o.c.m, buf, m)
	n, _ := o.c.stream.TryWrite(b) // who writes next meets the error, too
	if n > 0 && n < len(b) {
		return true, o.writeRest(ctx, buf, b[n:], n, len(m.Data))
	}
	o.giveOut()
	o.c.mu.Unlock()
	transport.Return(buf)
	return n > 0, nil
}

// queueNow is writeNow for a message whose sender does not wait for the rest of it.
//
//go:noinline
func (o *outbox) queueNow(m Message) (done bool) {
	o.c.mu.Lock()
	if o.c.batch.Load() || !o.takeIdleOut() {
		o.c.mu.Unlock()
		return false
	}
	buf := transport.Borrow()
	b := frameNow(&o.c.m, buf, m)
	n, _ := o.c.stream.TryWrite(b) // who writes next meets the error, too
	if n > 0 && n < len(b) {
		o.rest = append(o.rest, b[n:]...)
		go o.passOut()
	} else {
		o.giveOut()
	}
	o.c.mu.Unlock()
	transport.Return(buf)
	return n > 0
}

// frameNow frames m in buf. The caller holds mu and the out turn.
//
//go:noinline
func frameNow(machine *protocol.Machine, buf *transport.Buffer, m Message) []byte {
	b, _ := machine.AppendMessage(buf[:0], m.Type == Text, m.Data) // it cannot fail: no close frame is made
	return b
}

// writeRest waits until the rest of a frame is written, of which n bytes have been. The caller holds mu and the out turn,
// and loses both.
func (o *outbox) writeRest(ctx context.Context, buf *transport.Buffer, rest []byte, n, size int) error {
	o.writing = true
	o.c.watch(ctx, &o.writeCtx, &o.c.readCtx)
	o.c.mu.Unlock()
	k, err := o.c.stream.Write(rest, &o.moved)
	transport.Return(buf)
	return o.wrote(ctx, n+k, size, err)
}
