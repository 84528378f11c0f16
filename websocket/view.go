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
	if err := c.inbox.beginRead(ctx, 0); err != nil {
		return err
	}
	var v view
	err := c.inbox.await(ctx) // not in a nested function, which would need a larger stack: see await
	if err == nil {
		err = c.inbox.beginView(ctx, &v)
	}
	c.inbox.endRead(true)
	defer c.inbox.endView(&v)
	if err != nil {
		return err
	}
	return f(v.m)
}

// view holds the message of a View, and its memory.
type view struct {
	m            Message
	buf          *transport.Buffer // nil means a buffer for large messages
	inReadBuffer bool              // the message is in the read buffer
}

// The states of Conn.bufOwner.
const (
	ownedByInbox uint32 = iota // no View holds the read buffer
	ownedByBoth                // a View's message is in the read buffer, which is still being read from
	ownedByView                // the read buffer is no longer being read from: the View returns it to the pool
)

// beginView reads the message that has begun. The caller holds the read turn.
func (in *inbox) beginView(ctx context.Context, v *view) error {
	ev := &in.cur
	if !in.pending || !ev.First || !ev.Last || ev.Compressed || in.readerOpen || in.hasPartial {
		return in.readLargeView(ctx, v)
	}
	v.m = Message{Type: typeOf(ev.Text), Data: ev.Payload}
	if v.buf = in.buf; v.buf == nil { // the next read may overwrite the read buffer
		v.buf = transport.Borrow()
		v.m.Data = append(v.buf[:0], v.m.Data...)
	} else {
		v.inReadBuffer = true
		in.bufOwner.Store(ownedByBoth)
	}
	in.cur, in.pending = protocol.Event{}, false
	return nil
}

// readLargeView reads a message that is not entirely in the read buffer.
func (in *inbox) readLargeView(ctx context.Context, v *view) (err error) {
	here := max(len(in.cur.Payload), len(in.partial))
	in.viewing = true
	v.m, err = in.readMessage(ctx, borrowLarge(here, in.c.m.Left()), false)
	in.viewing = false
	return err
}

// endView ends a View: it frees the memory, and the application may read again.
func (in *inbox) endView(v *view) {
	switch {
	case v.inReadBuffer:
		if in.bufOwner.CompareAndSwap(ownedByBoth, ownedByInbox) {
			break // the reader returns the buffer to the pool
		}
		in.bufOwner.Store(ownedByInbox)
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
