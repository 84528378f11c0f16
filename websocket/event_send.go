package websocket

import (
	"fmt"
	"sync/atomic"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/loop"
)

const (
	// alwaysCopied is the maximum payload that is always copied. A longer payload is written without a copy if lastReceived is set, and a
	// payload longer than maxCopied is never copied.
	alwaysCopied = 4 << 10

	corkSize = 64 << 10 // the size of the buffer that collects the replies of a connection
)

// eventOutbox is the send queue of a connection: it collects frames, and writes them as far as the kernel accepts them. The close
// frame is the last one.
//
// The lock of fd guards all fields.
type eventOutbox struct {
	link eventLink

	out          *buffer     // the bytes to send; nil if there are none
	lastReceived atomic.Bool // the large message being delivered is the last received message; set by the holder without the lock
	phase        phase
	corked       bool // the holder flushes at the end of its visit
	blocked      bool // the kernel accepts nothing until it reports free space
	congested    bool // the queue has rejected a message, or was more than half full, since it was last empty
}

// Send implements [Sender]. Messages that a Receiver sends to its own connection are written when all received messages have been
// handled; messages to other connections are written at the end of the batch of events.
func (c *eventOutbox) Send(m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	c.link.fd.Lock()
	defer c.link.fd.Unlock()
	if err := c.writable(len(m.Data) + frame.MaxHeader); err != nil {
		return err
	}
	if z := c.link.compression(); z != nil && len(m.Data) >= z.threshold {
		return c.enqueueCompressed(m)
	}
	return c.enqueue(m.Type == Text, false, m.Data)
}

// writable returns an error if a message of n bytes cannot be written. The caller holds the lock.
func (c *eventOutbox) writable(n int) error {
	if c.link.end == nil && !c.blocked {
		return nil
	}
	return c.writeError(n)
}

func (c *eventOutbox) writeError(n int) error {
	if c.link.end == nil {
		return c.makeRoom(n)
	}
	for _, e := range []*CloseError{c.link.end.final, c.link.end.due, c.link.end.begun} {
		if e != nil {
			return e
		}
	}
	return c.link.end.werr
}

// makeRoom applies the queue policy when n bytes do not fit into the queue. The caller holds the lock.
func (c *eventOutbox) makeRoom(n int) error {
	queued, limit := c.waiting(), c.link.kind.opts.queue.bytes
	if !c.blocked || queued == 0 || queued+n <= limit {
		return nil
	}
	c.congested = true
	switch c.link.kind.opts.queue.full {
	case QueueDropOldest:
		if c.drop(queued + n - limit); c.waiting() == 0 || c.waiting()+n <= limit {
			return nil
		}
	case QueueClose:
		// Queued messages are discarded, so that the close frame does not wait for them.
		c.drop(queued)
		c.shut(CodeTryAgainLater, reasonSlow) //nolint:errcheck // shut fails only for an invalid code
	}
	return ErrQueueFull
}

// waiting returns the number of queued bytes, without those of a frame that the kernel has partly accepted. The caller holds the
// lock.
func (c *eventOutbox) waiting() int {
	if c.out == nil {
		return 0
	}
	return c.out.size() - c.out.partialFrame
}

// drop removes messages from the queue, the oldest first, until enough bytes are free. It keeps control frames and a frame that is
// partly sent. The caller holds the lock.
func (c *eventOutbox) drop(enough int) {
	if c.out == nil {
		return
	}
	b := c.out.rest()
	var control []byte
	at, gone := c.out.partialFrame, 0
	for at < len(b) && gone < enough {
		h, head, err := frame.Parse(b[at:])
		if err != nil {
			return // not reached: the queue contains only frames made by this package
		}
		size := head + int(h.Length)
		if h.Opcode.Control() {
			control = append(control, b[at:at+size]...)
		} else {
			gone += size
		}
		at += size
	}
	copy(b[at-len(control):], control)
	copy(b[gone:], b[:c.out.partialFrame])
	c.out.advance(gone)
}

// advance records that the kernel has accepted n more bytes of the queue. The caller holds the lock.
func (c *eventOutbox) advance(n int) {
	if n == c.out.size() {
		c.out.partialFrame = 0
	} else {
		c.out.partialFrame = partialAfter(c.out.rest(), c.out.partialFrame, n)
	}
	c.out.advance(n)
}

// partialAfter returns how many bytes from b[n] on belong to a frame that begins before b[n]; 0 if a frame begins at b[n]. b[:cut] is
// the rest of an earlier frame.
func partialAfter(b []byte, cut, n int) int {
	for cut < n {
		h, head, err := frame.Parse(b[cut:])
		if err != nil {
			return len(b) - n // not reached: the queue contains only frames made by this package
		}
		cut += head + int(h.Length)
	}
	return cut - n
}

// queued returns the number of queued bytes. The caller holds the lock.
func (c *eventOutbox) queued() int {
	n := c.out.size()
	if sec := c.link.sec(); sec != nil {
		n += sec.Queued()
	}
	return n
}

// enqueue frames p, and sends or queues the frame. The caller holds the lock.
func (c *eventOutbox) enqueue(text, compressed bool, p []byte) error {
	if compressed || len(p) > alwaysCopied {
		if err := c.enqueueLarge(text, compressed, p); err != nil {
			return err
		}
	} else {
		out := c.out
		if out == nil || cap(out.b)-len(out.b) < frame.MaxHeader+len(p) {
			out = c.reserve(frame.MaxHeader + len(p))
		}
		b, err := c.link.m.AppendMessage(out.b, text, p, nil)
		if err != nil {
			return err
		}
		out.b = b
	}
	if !c.corked || c.blocked {
		c.scheduleFlush()
	}
	return nil
}

// scheduleFlush makes sure that queued data will be sent. The caller holds the lock.
func (c *eventOutbox) scheduleFlush() {
	if c.blocked {
		c.pause()
		if !c.corked {
			c.rearm()
		}
		return // the kernel reports when it accepts more
	}
	if !c.corked {
		c.link.fd.Wake()
	}
}

// enqueueLarge queues a header and its payload, or writes the queue and both of them in one system call. The caller holds the lock.
func (c *eventOutbox) enqueueLarge(text, compressed bool, p []byte) error {
	h, err := c.link.m.BeginFrame(text, compressed, true, len(p), [4]byte{})
	if err != nil {
		return err
	}
	if c.link.sec() == nil && !c.blocked && (len(p) > maxCopied || len(p) > alwaysCopied && c.lastReceived.Load()) {
		out := c.reserve(frame.MaxHeader)
		out.b = frame.Append(out.b, h)
		c.writeShared(p)
		return nil
	}
	out := c.reserve(frame.MaxHeader + len(p))
	out.b = append(frame.Append(out.b, h), p...)
	return nil
}

// reserve returns the queue with space for n more bytes. The caller holds the lock.
func (c *eventOutbox) reserve(n int) *buffer {
	if c.out == nil {
		c.out = borrow(n)
		return c.out
	}
	if cap(c.out.b)-len(c.out.b) < n && c.out.size() >= corkSize/2 {
		c.flush() // the queue is large enough for one write
		if c.out == nil {
			c.out = borrow(n)
		}
	}
	c.out = c.out.grown(n)
	return c.out
}

// flush writes as much of the queue as the kernel accepts. The caller holds the lock.
func (c *eventOutbox) flush() {
	if c.blocked {
		return
	}
	if sec := c.link.sec(); sec != nil {
		c.flushTLS(sec)
	} else {
		c.flushPlain()
	}
	if c.blocked {
		c.pause()
	} else if c.link.stop.Load()&stopPaused != 0 {
		c.link.unpause()
	}
}

// freeEmpty frees the memory of an empty queue. The caller holds the lock.
func (c *eventOutbox) freeEmpty() {
	if c.out != nil && c.out.size() == 0 && !c.corked {
		c.out.free()
		c.out = nil
	}
}

// pause stops reading from a connection whose peer does not read, when the queue is more than half full. It resumes reading when the
// queue is at most a quarter full. The caller holds the lock.
func (c *eventOutbox) pause() {
	switch n, limit := c.waiting(), c.link.kind.opts.queue.bytes; {
	case n > limit/2:
		c.congested = true
		c.link.stop.Or(stopPaused)
	case n <= limit/4:
		c.link.unpause()
	}
}

// flushPlain writes the queue to the kernel. The caller holds the lock.
func (c *eventOutbox) flushPlain() {
	for n := c.out.size(); n > 0; n = c.out.size() {
		k, err := c.link.fd.Write(c.out.rest())
		if err != nil && err != loop.ErrAgain {
			c.writeFailed(err)
			return
		}
		if k > 0 {
			c.advance(k)
		}
		if k < n {
			c.blocked = true
			return
		}
	}
}

// flushTLS writes the queue, TLS records first. The caller holds the lock.
func (c *eventOutbox) flushTLS(sec *loop.TLS) {
	for {
		if _, err := sec.Flush(); err == loop.ErrAgain {
			c.blocked = true
			return
		} else if err != nil {
			c.writeFailed(err)
			return
		}
		if c.out.size() == 0 {
			return
		}
		p := c.out.rest()
		p = p[:min(len(p), corkSize)]
		if _, err := sec.Write(p); err != nil {
			c.writeFailed(err)
			return
		}
		c.advance(len(p))
	}
}

// closeTLS queues a close_notify, and sends it if the kernel accepts it now. The caller holds the lock.
func (c *eventOutbox) closeTLS(sec *loop.TLS) {
	if sec.CloseWrite() == nil {
		c.flushTLS(sec)
	}
}

// writeFailed discards the queue, since it cannot be sent. The peer's last bytes may be unread, so the reader ends the connection.
// The caller holds the lock.
func (c *eventOutbox) writeFailed(err error) {
	c.blocked = false
	if c.out != nil {
		c.out.b, c.out.r, c.out.partialFrame = c.out.b[:0], 0, 0
	}
	if sec := c.link.sec(); sec != nil {
		sec.Drop()
	}
	e := c.link.ensureEnding()
	if e.werr == nil {
		e.werr = fmt.Errorf("websocket: write: %w", err)
		c.link.fd.After(c.link.kind.opts.closeTimeout)
	}
	c.link.unpause()
	c.link.fd.Wake()
}

// Buffered implements [Sender].
func (c *eventOutbox) Buffered() int {
	c.link.fd.Lock()
	defer c.link.fd.Unlock()
	return c.queued()
}
