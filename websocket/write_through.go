package websocket

import (
	"context"

	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// This file is the first of the two ways to send (see outbox): if no other data is to be sent, as much of a message as the
// socket accepts immediately is written to it directly. Most calls take this path, so its functions have small stack frames, to keep
// a goroutine within its first 2 KiB of stack.

// canTryWrite reports whether a write that does not wait may be tried on the connection.
func (o *outbox) canTryWrite() bool {
	return !o.c.m.Client && o.c.stream.CanTryWrite()
}

// acquireIdleOut takes the out turn if nothing is being written or queued, and writing is possible. The caller holds mu.
func (o *outbox) acquireIdleOut() bool {
	return o.pending.entries == nil && len(o.ctl) == 0 && len(o.rest) == 0 && !o.message.held && !o.c.m.MessageOpen() &&
		o.c.closeErr == nil && o.c.closing == nil && o.werr == nil && o.out.tryAcquire()
}

// writeThrough writes m, and reports whether it has done so; if not, no part of m was sent. If waits is set, writeThrough returns
// when the socket has accepted all bytes; otherwise a goroutine writes the remainder.
func (o *outbox) writeThrough(ctx context.Context, m Message, waits bool) (done bool, err error) {
	o.c.mu.Lock()
	if ctx.Err() != nil || !waits && o.c.inbox.batch.Load() || !o.acquireIdleOut() {
		o.c.mu.Unlock()
		return false, nil //nolint:nilerr // the caller then calls write, which returns the error of ctx
	}
	buf := transport.Borrow()
	b := frameMessage(&o.c.m, buf, m)
	n, _ := o.c.stream.TryWrite(b) // the next write returns the error, too
	if waits && n > 0 && n < len(b) {
		return true, o.writeRest(ctx, buf, b[n:], n, len(m.Data))
	}
	o.releaseOutAfter(b, n, false)
	o.c.mu.Unlock()
	transport.Return(buf)
	return n > 0, nil
}

// writeSharedThrough is writeThrough for a shared frame, which is not copied. The caller holds mu.
func (o *outbox) writeSharedThrough(e entry) (done bool) {
	if !o.canTryWrite() || o.c.inbox.batch.Load() || !o.acquireIdleOut() {
		return false
	}
	n, _ := o.c.stream.TryWrite(e.frame) // the next write returns the error, too
	if n > 0 {
		o.c.compression.sharedSent(e)
	}
	o.releaseOutAfter(e.frame, n, true)
	return n > 0
}

// releaseOutAfter gives up the out turn after n bytes of b were written. If bytes are left, a goroutine takes the turn and writes
// them.
func (o *outbox) releaseOutAfter(b []byte, n int, shared bool) {
	switch b = b[n:]; {
	case n == 0 || len(b) == 0:
		o.releaseOut()
		return
	case shared:
		o.rest = b // no copy is needed, because a shared frame is never modified
	default:
		o.rest = append(o.rest, b...)
	}
	go o.writeOut()
}

// frameMessage frames m in buf. The caller holds mu and the out turn.
//
//go:noinline
func frameMessage(machine *protocol.Machine, buf *transport.Buffer, m Message) []byte {
	b, _ := machine.AppendMessage(buf[:0], m.Type == Text, m.Data, nil) // cannot fail, because no close frame has been made
	return b
}

// writeRest waits until rest is written. rest is the end of a frame with size bytes of payload, of which n bytes were already
// written. The caller holds mu and the out turn, both of which writeRest releases.
func (o *outbox) writeRest(ctx context.Context, buf *transport.Buffer, rest []byte, n, size int) error {
	o.writing = true
	o.c.watch(ctx, &o.writeCtx, &o.c.inbox.readCtx)
	o.c.mu.Unlock()
	k, err := o.c.stream.Write(rest, &o.progress)
	transport.Return(buf)
	return o.finishWrite(ctx, n+k, size, err)
}
