package websocket

import (
	"context"

	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// View waits for the next message and calls f with it, without a copy if possible. f may read and modify the message's Data, but
// only until f returns: between messages the connection holds no memory for them. View returns f's error; otherwise it behaves like
// Read.
//
// f may call any method of c except those that read, which return [ErrConcurrentRead]. A Ping in f needs a context that ends, since
// the pong may be behind the next message, which is not read until f has returned.
func (c *Conn) View(ctx context.Context, f func(Message) error) error {
	if err := c.beginRead(ctx, 0); err != nil {
		return err
	}
	var v view
	err := c.await(ctx) // not in a nested function, which would need a larger stack: see await
	if err == nil {
		err = c.take(ctx, &v)
	}
	c.endTurn(true)
	defer c.viewed(&v)
	if err != nil {
		return err
	}
	return f(v.m)
}

// view holds the message of a View, and its memory.
type view struct {
	m   Message
	buf *transport.Buffer // nil means a buffer for large messages
	in  bool              // the message is in the read buffer
}

// The states of Conn.lent.
const (
	lentNot   uint32 = iota // no View holds the read buffer
	lentBoth                // a View's message is in the read buffer, which is still being read from
	lentAlone               // the read buffer is no longer being read from: the View returns it to the pool
)

// take reads the message that has begun. The caller holds the read turn.
func (in *inbox) take(ctx context.Context, v *view) error {
	ev := &in.cur
	if !in.pending || !ev.First || !ev.Last || ev.Compressed || in.midway || in.halfRead {
		return in.takeLarge(ctx, v)
	}
	v.m = Message{Type: typeOf(ev.Text), Data: ev.Payload}
	if v.buf = in.buf; v.buf == nil { // the next read may overwrite the read buffer
		v.buf = transport.Borrow()
		v.m.Data = append(v.buf[:0], v.m.Data...)
	} else {
		v.in = true
		in.lent.Store(lentBoth)
	}
	in.cur, in.pending = protocol.Event{}, false
	return nil
}

// takeLarge reads a message that is not entirely in the read buffer.
func (in *inbox) takeLarge(ctx context.Context, v *view) (err error) {
	here := max(len(in.cur.Payload), len(in.partial))
	in.viewing = true
	v.m, err = in.readMessage(ctx, largeFor(here, in.c.m.Left()), false)
	in.viewing = false
	return err
}

// viewed ends a View: it frees the memory, and the application may read again.
func (in *inbox) viewed(v *view) {
	switch {
	case v.in:
		if in.lent.CompareAndSwap(lentBoth, lentNot) {
			break // the reader returns the buffer to the pool
		}
		in.lent.Store(lentNot)
		transport.Return(v.buf)
	case v.buf != nil:
		transport.Return(v.buf)
	case v.m.Data != nil:
		returnLarge(v.m.Data)
	}
	in.c.mu.Lock()
	in.userRead = false
	in.c.mu.Unlock()
}
