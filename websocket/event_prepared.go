package websocket

import (
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/prepared"
	"github.com/handfast/handfast/websocket/loop"
)

// SendPrepared implements [Sender]. If nothing is queued, the connection is not being visited, and the loop is doing its last piece
// of work (see [loop.FD.Calm]), SendPrepared writes ps before it returns, as far as the kernel accepts them. In that case, a single
// message is not copied.
func (c *eventOutbox) SendPrepared(ps ...*Prepared) error {
	if err := unprepared(ps); err != nil {
		return err
	}
	if c.link.m.Compressed { // implies that more.compression is set
		z := c.link.more.compression
		for _, p := range ps { // compresses outside of the lock, for which other goroutines wait
			if f := p.frames(); len(f.Payload()) >= z.threshold {
				f.Compressed(z.out.Window.Bits)
			}
		}
	}
	c.link.fd.Lock()
	defer c.link.fd.Unlock()
	together, err := c.writableAll(ps)
	for _, p := range ps {
		if !together || c.link.end != nil {
			err = c.writable(len(p.frames().Plain()))
		}
		if err != nil {
			break // the earlier messages are still sent
		}
		c.enqueueShared(c.frameFor(p.frames()), len(ps) == 1)
	}
	if !c.corked && c.out.size() > 0 && c.link.fd.Calm() {
		c.flush()
	}
	if c.blocked || !c.corked && c.out.size() > 0 {
		c.scheduleFlush()
	}
	c.freeEmpty()
	return err
}

// writableAll makes room for all of ps under QueueDropNewest, and reports whether there is room. If even an empty queue has not
// enough room, the messages are accepted one by one. The caller holds the lock.
func (c *eventOutbox) writableAll(ps []*Prepared) (bool, error) {
	if len(ps) == 1 || c.link.kind.opts.queue.full != QueueDropNewest {
		return false, nil
	}
	n := 0
	for _, p := range ps {
		n += len(p.frames().Plain())
	}
	if n > c.link.kind.opts.queue.bytes {
		return false, nil
	}
	return true, c.writable(n)
}

// frameFor returns the prepared frame that suits this connection. The caller holds the lock.
func (c *eventOutbox) frameFor(f *prepared.Frames) []byte {
	if z := c.link.compression(); z != nil && len(f.Payload()) >= z.threshold {
		if b := f.Compressed(z.out.Window.Bits); b[0]&frame.RSV1 != 0 {
			z.out.Forget() // the peer's window advances over data that our compressor has not seen
			return b
		}
	}
	return f.Plain()
}

// enqueueShared sends or queues a frame that must not be modified. A single frame is sent without a copy if nothing else is sent with
// it. The caller holds the lock.
func (c *eventOutbox) enqueueShared(b []byte, alone bool) {
	if c.link.sec() == nil && !c.blocked && (len(b) > maxCopied || alone && !c.corked && c.out.size() == 0 && c.link.fd.Calm()) {
		c.writeShared(b)
		return
	}
	out := c.reserve(len(b))
	out.b = append(out.b, b...)
}

// writeShared writes the queue and b, and queues the bytes that the kernel does not accept. The caller holds the lock.
func (c *eventOutbox) writeShared(b []byte) {
	var n int
	var err error
	before := c.out.size()
	if before == 0 {
		n, err = c.link.fd.Write(b)
	} else {
		n, err = c.link.fd.Writev([2][]byte{c.out.rest(), b})
	}
	if err != nil && err != loop.ErrAgain {
		c.writeFailed(err)
		return
	}
	if before > 0 {
		c.advance(min(n, before))
	}
	if left := b[max(n-before, 0):]; len(left) > 0 || n < before {
		c.blocked = true
		out := c.reserve(len(left))
		out.b = append(out.b, left...)
		if n >= before {
			c.out.partialFrame = len(left)
		}
	}
}
