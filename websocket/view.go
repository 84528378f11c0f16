package websocket

import (
	"context"
	"math/bits"
	"sync"
	"unsafe"

	"github.com/handfast/handfast/websocket/internal/protocol"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// View waits for the next message and calls f with it, without a copy where it can be. Its Data is f's to read and to write
// to, but only until f returns: between messages the connection holds no memory for them. View returns what f does; all
// else is as with Read.
//
// f may call any method of c but those that read: these return [ErrConcurrentRead].
func (c *Conn) View(ctx context.Context, f func(Message) error) error {
	if err := c.beginRead(ctx, 0); err != nil {
		return err
	}
	var v view
	err := c.await(ctx) // from here and not from deeper: see there
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

// view is a View's message, and where it lies.
type view struct {
	m   Message
	buf *transport.Buffer // nil: in memory for large messages
	how uint32
}

// The states of Conn.lent.
const (
	lentNot   uint32 = iota // or a View's message lies where nobody else does
	lentBoth                // a View's message lies in the read buffer, which is still read from
	lentAlone               // the read buffer is not read from any more: who has the message gives it back
)

// take takes the message that has begun. The caller holds the read turn.
//
//go:noinline
func (c *Conn) take(ctx context.Context, v *view) error {
	ev := &c.cur
	if !c.pending || !ev.First || !ev.Last || ev.Compressed || c.midway || c.halfRead {
		return c.takeLarge(ctx, v)
	}
	v.m = Message{Type: typeOf(ev.Text), Data: ev.Payload}
	if v.buf = c.buf; v.buf == nil { // it lies where the next read may go
		v.buf = transport.Borrow()
		v.m.Data = append(v.buf[:0], v.m.Data...)
	} else {
		v.how = lentBoth
		c.lent.Store(lentBoth)
	}
	c.cur, c.pending = protocol.Event{}, false
	return nil
}

// takeLarge takes a message that is not whole in the read buffer.
func (c *Conn) takeLarge(ctx context.Context, v *view) (err error) {
	here := max(len(c.cur.Payload), len(c.partial))
	c.viewing = true
	v.m, err = c.readMessage(ctx, largeFor(here, c.m.Left()), false)
	c.viewing = false
	return err
}

// viewed ends a View: its memory is free, and the application may read again.
//
//go:noinline
func (c *Conn) viewed(v *view) {
	switch {
	case v.how == lentBoth:
		if c.lent.CompareAndSwap(lentBoth, lentNot) {
			break // who reads gives it back
		}
		c.lent.Store(lentNot)
		transport.Return(v.buf)
	case v.buf != nil:
		transport.Return(v.buf)
	case v.m.Data != nil:
		returnLarge(v.m.Data)
	}
	c.mu.Lock()
	c.userRead = false
	c.mu.Unlock()
}

// The memory of large messages comes in powers of two, as hot as can be: what was given back last is lent first.
const (
	largeBits    = 14
	largestBits  = 25
	largeTrust   = 4  // how many times as much as has arrived is allocated for a message
	largeRecycle = 16 // and how many times as much is taken when it is there already
)

// larges holds arrays by their size, each as a pointer to its first byte: a slice in a pool would be an allocation.
var larges [largestBits - largeBits + 1]sync.Pool

// largeFor returns memory for a message of which so much is here, and so much more is announced. What is announced is not
// trusted with new memory: what it gets grows with what arrives.
func largeFor(here int, left int64) []byte {
	if b := recycled(here + int(min(left, int64((largeRecycle-1)*here)))); b != nil {
		return b
	}
	n := here + int(min(left, int64((largeTrust-1)*here)))
	if class := largeClass(n); class < len(larges) {
		n = 1 << (class + largeBits)
	}
	return make([]byte, 0, n)
}

func largeClass(n int) int { return max(0, bits.Len(uint(max(n, 1)-1))-largeBits) }

// recycled returns memory for n bytes that lies in a pool, nil when there is none.
func recycled(n int) []byte {
	class := largeClass(n)
	if class >= len(larges) {
		return nil
	}
	if p, ok := larges[class].Get().(*byte); ok {
		return unsafe.Slice(p, 1<<(class+largeBits))[:0]
	}
	return nil
}

// returnLarge gives b back, of which b[:0] is all of an array. One of another size is left to the collector.
func returnLarge(b []byte) {
	class := largeClass(cap(b))
	if class < len(larges) && cap(b) == 1<<(class+largeBits) {
		larges[class].Put(unsafe.SliceData(b))
	}
}

// grow returns dst with room for more of a message of which left bytes are to come.
func (c *Conn) grow(dst []byte, left int64) []byte {
	g := largeFor(len(dst), left)
	g = append(g, dst...)
	returnLarge(dst)
	return g
}
