package reactor

import (
	"fmt"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
)

const (
	// together is the most payload that is copied behind its header to make one write with others. Longer ones are
	// written from where they lie; so are those of more than single bytes that no other message has come with.
	together = 16 << 10
	single   = 4 << 10
)

// Send sends m, or queues what the kernel does not take at once; it never waits. m.Data is the caller's again when it
// returns. In a handler, what is written to the handler's own connection leaves when all that had arrived on it has been
// handled; to others, at the end of the batch of events.
//
// An error means that m was not sent: [websocket.ErrInvalidUTF8], [websocket.ErrQueueFull], or a [*websocket.CloseError] when the
// connection has ended or is about to.
func (c *Conn) Send(m websocket.Message) error { return c.write(m, false) }

// SendUncompressed is Write that does not compress, for a message with a secret in it. See [websocket.Compression].
func (c *Conn) SendUncompressed(m websocket.Message) error { return c.write(m, true) }

func (c *Conn) write(m websocket.Message, plain bool) error {
	switch {
	case m.Type != websocket.Text && m.Type != websocket.Binary:
		return fmt.Errorf("websocket: message type %d is neither Text nor Binary", m.Type)
	case m.Type == websocket.Text && !utf8.Valid(m.Data):
		return websocket.ErrInvalidUTF8
	}
	c.mu.Lock()
	err := c.writeLocked(m, plain)
	c.mu.Unlock()
	return err
}

// writeLocked sends or queues m. The caller holds mu.
func (c *Conn) writeLocked(m websocket.Message, plain bool) error {
	if err := c.writable(len(m.Data) + frame.MaxHeader); err != nil {
		return err
	}
	if c.zip != nil && !plain && len(m.Data) >= c.zip.threshold {
		return c.putCompressed(m)
	}
	return c.put(m.Type == websocket.Text, false, m.Data)
}

// writable says why a message that takes n bytes cannot be written, if so. The caller holds mu.
func (c *Conn) writable(n int) error {
	if c.end == nil && !c.stuck {
		return nil
	}
	return c.obstacle(n)
}

func (c *Conn) obstacle(n int) error {
	if c.end == nil {
		return c.makeRoom(n)
	}
	for _, e := range []*websocket.CloseError{c.end.over, c.end.now, c.end.begun} {
		if e != nil {
			return e
		}
	}
	return c.end.werr
}

// makeRoom applies the policy when n bytes do not fit into the queue. The caller holds mu.
func (c *Conn) makeRoom(n int) error {
	waits, most := c.waiting(), c.loop.s.writeQueue
	if waits == 0 || waits+n <= most {
		return nil
	}
	switch c.loop.s.Options.Conn.WriteQueue.Full {
	case websocket.QueueDropOldest:
		if c.drop(waits + n - most); c.waiting() == 0 || c.waiting()+n <= most {
			return nil
		}
	case websocket.QueueClose:
		// What waits is given up, so that the close frame does not wait behind it.
		c.drop(waits)
		c.shut(websocket.CodeTryAgainLater, "reads too slowly") //nolint:errcheck // the code is a valid one
	}
	return websocket.ErrQueueFull
}

// waiting returns how many bytes wait of which the kernel has no part. The caller holds mu.
func (c *Conn) waiting() int { return c.out.size() - c.cut }

// drop takes messages out of the queue, the oldest first, until enough bytes are gone. What has begun to be sent stays, as do
// control frames. The caller holds mu.
func (c *Conn) drop(enough int) {
	if c.out == nil {
		return
	}
	b := c.out.rest()
	var control []byte
	at, gone := c.cut, 0
	for at < len(b) && gone < enough {
		h, head, err := frame.Parse(b[at:])
		if err != nil {
			return // all of it was made here
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
	copy(b[gone:], b[:c.cut])
	c.out.advance(gone)
}

// advance notes that the kernel has taken n more bytes of the queue. The caller holds mu.
func (c *Conn) advance(n int) {
	if n == c.out.size() {
		c.cut = 0
	} else {
		c.cut = cutAt(c.out.rest(), c.cut, n)
	}
	c.out.advance(n)
}

// cutAt returns how many bytes from b[n] on belong to the frame that n lies in, when those before b[cut] end one.
func cutAt(b []byte, cut, n int) int {
	for cut < n {
		h, head, err := frame.Parse(b[cut:])
		if err != nil {
			return len(b) - n // all of it was made here
		}
		cut += head + int(h.Length)
	}
	return cut - n
}

// queued returns how many bytes wait to be sent. The caller holds mu.
func (c *Conn) queued() int {
	n := c.out.size()
	if c.sec != nil {
		n += c.sec.queued()
	}
	return n
}

// put makes a frame of p and sends or queues it. The caller holds mu.
func (c *Conn) put(text, compressed bool, p []byte) error {
	if compressed || len(p) > single {
		if err := c.putLong(text, compressed, p); err != nil {
			return err
		}
	} else {
		out := c.out
		if out == nil || cap(out.b)-len(out.b) < frame.MaxHeader+len(p) {
			out = c.room(frame.MaxHeader + len(p))
		}
		b, err := c.m.AppendMessage(out.b, text, p)
		if err != nil {
			return err
		}
		out.b = b
	}
	if !c.corked || c.stuck {
		c.sent()
	}
	return nil
}

// sent sees that what was queued goes out. The caller holds mu.
func (c *Conn) sent() {
	if c.stuck {
		c.pause()
		if !c.corked {
			c.rearm()
		}
		return // the kernel says when
	}
	if !c.corked {
		c.loop.ask(c)
	}
}

// putLong queues a header and its payload, or writes what waits and both of them in one system call. The caller holds mu.
func (c *Conn) putLong(text, compressed bool, p []byte) error {
	h, err := c.m.BeginFrame(text, compressed, true, len(p), [4]byte{})
	if err != nil {
		return err
	}
	if c.sec == nil && !c.stuck && (len(p) > together || len(p) > single && c.alone.Load()) {
		out := c.room(frame.MaxHeader)
		out.b = frame.Append(out.b, h)
		c.pushShared(p)
		return nil
	}
	out := c.room(frame.MaxHeader + len(p))
	out.b = append(frame.Append(out.b, h), p...)
	return nil
}

// room returns the queue with space for n bytes more. The caller holds mu.
func (c *Conn) room(n int) *buffer {
	if c.out == nil {
		c.out = borrow(n)
		return c.out
	}
	if cap(c.out.b)-len(c.out.b) < n && c.out.size() >= corkSize/2 {
		c.flush() // enough for one write
		if c.out == nil {
			c.out = borrow(n)
		}
	}
	c.out = c.out.grown(n)
	return c.out
}

// flush writes what waits, as far as the kernel takes it. The caller holds mu.
func (c *Conn) flush() {
	if c.stuck {
		return
	}
	if c.sec != nil {
		c.sec.flush(c)
	} else {
		c.push(c.out)
	}
	if c.stuck {
		c.pause()
	} else if c.stop.Load()&stopPaused != 0 {
		c.unpause()
	}
}

// tidy gives back the memory of a queue that is empty. The caller holds mu.
func (c *Conn) tidy() {
	if c.out != nil && c.out.size() == 0 && !c.corked {
		c.out.free()
		c.out = nil
	}
}

// pause has a connection whose peer does not read not be read from, when half of what may wait for it does; and no more,
// when three quarters of that are free again. The caller holds mu.
func (c *Conn) pause() {
	switch n, most := c.waiting(), c.loop.s.writeQueue; {
	case n > most/2:
		c.stop.Or(stopPaused)
	case n <= most/4:
		c.unpause()
	}
}

// unpause has the connection read from again, first what has arrived and was not parsed. The caller holds mu.
func (c *Conn) unpause() {
	if c.stop.And(^stopPaused)&stopPaused != 0 {
		c.loop.ask(c)
	}
}

// push writes f to the kernel, and reports whether all of it is gone. The caller holds mu.
func (c *Conn) push(f *buffer) bool {
	for f.size() > 0 {
		n, err := c.loop.k.write(int(c.fd), f.rest())
		if err == errAgain {
			c.stuck = true
			return false
		}
		if err != nil {
			c.writeFailed(err)
			return false
		}
		short := n < f.size()
		if f == c.out {
			c.advance(n)
		} else {
			f.advance(n) // of TLS
		}
		if short {
			c.stuck = true
			return false
		}
	}
	return true
}

// writeFailed gives up what waits: it cannot be sent any more. What the peer has said before it left may lie unread, so
// the end is left to the reader. The caller holds mu.
func (c *Conn) writeFailed(err error) {
	c.stuck = false
	if c.out != nil {
		c.out.b, c.out.r, c.cut = c.out.b[:0], 0, 0
	}
	if c.sec != nil {
		c.sec.drop()
	}
	e := c.ends()
	if e.werr == nil {
		e.werr = fmt.Errorf("websocket: write: %w", err)
		c.loop.after(c, c.loop.s.closeTimeout)
	}
	c.unpause()
	c.loop.ask(c)
}
