package websocket

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// together is the most payload that is copied behind its header to make one write of both. Longer ones are written
// from where they lie, with writev.
const together = 16 << 10

// joinable is the most payload with which a Write joins the one after the write under way, by a copy.
const joinable = 4 << 10

// Write sends m as one frame, compressed if that was agreed on, and returns when the kernel has all of it. m.Data stays
// the caller's, unchanged. Messages written while another write is under way go out together in the next one.
//
// When ctx ends while Write waits for its turn, nothing was sent and the connection lives. When it ends while the frame
// is on its way, half a frame is out: Write says so and the connection is closed.
func (c *Conn) Write(ctx context.Context, m Message) error {
	if c.zip == nil && c.writesAtOnce(len(m.Data)) {
		if err := m.check(); err != nil {
			return err
		}
		if done, err := c.writeNow(ctx, m); done {
			return err
		}
	}
	return c.write(ctx, m, false)
}

func (c *Conn) write(ctx context.Context, m Message, plain bool) error {
	if err := m.check(); err != nil {
		return err
	}
	if c.zip != nil && !plain && len(m.Data) >= c.zip.threshold {
		return c.writeCompressed(ctx, m)
	}
	f := outgoing{t: m.Type, fin: true, p: m.Data}
	c.mu.Lock()
	if ctx.Err() == nil && !c.message.held && len(m.Data) <= joinable && c.out.held && len(c.out.queue) == 0 {
		return c.joinLocked(ctx, f)
	}
	if c.message.held || c.out.held { // behind others: no message may begin before this one has its place
		if err := c.wait(ctx, &c.message); err != nil {
			c.mu.Unlock()
			return interrupted("write", ctx, err)
		}
		f.gives = true
	}
	return c.writeLocked(ctx, f)
}

// beginMessage takes the turn to send a message, all its fragments.
func (c *Conn) beginMessage(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return interrupted("write", ctx, errCtx)
	}
	if err := c.canWrite(); err != nil {
		return err
	}
	return interrupted("write", ctx, c.wait(ctx, &c.message))
}

func (c *Conn) endMessage() {
	c.mu.Lock()
	c.message.give()
	c.sendQueued() // SendPrepared may have had to wait for the end of a fragmented message
	c.mu.Unlock()
}

// canWrite says why nothing can be written any more. The caller holds mu.
func (c *Conn) canWrite() error {
	switch {
	case c.closeErr != nil:
		return c.closeErr
	case c.closing != nil:
		return c.closing
	}
	return c.werr
}

// outgoing is a data frame to be sent.
type outgoing struct {
	t          Type
	compressed bool
	fin        bool
	gives      bool // the message turn is given up as soon as the frame has its place
	p          []byte
}

// writeFrame sends one data frame. The caller holds the message turn.
func (c *Conn) writeFrame(ctx context.Context, f outgoing) error {
	c.mu.Lock()
	return c.writeLocked(ctx, f)
}

// writeLocked sends one data frame. The caller holds mu, which is free when writeLocked returns, and the message turn
// unless nobody does.
func (c *Conn) writeLocked(ctx context.Context, f outgoing) error {
	var h frame.Header
	err := interrupted("write", ctx, c.wait(ctx, &c.out))
	mine := err == nil
	if mine {
		h, err = c.place(ctx, f)
	}
	if f.gives {
		c.message.give()
	}
	if err != nil {
		if mine {
			c.leaveOut()
		}
		c.mu.Unlock()
		return err
	}
	c.writing = true
	c.watch(ctx, &c.writeCtx, &c.readCtx)
	c.mu.Unlock()

	buf := transport.Borrow()
	var n int
	if b := inOne(buf, h, f.p); b != nil {
		n, err = c.stream.Write(b, &c.moved) // from here and not from deeper: see await
	} else {
		n, err = c.put(buf, h, f.p)
	}
	transport.Return(buf)
	return c.wrote(ctx, n, len(f.p), err)
}

// wrote ends the write of a frame with size bytes of payload, of which n bytes are out. The caller holds the out turn,
// and loses it.
func (c *Conn) wrote(ctx context.Context, n, size int, err error) error {
	c.mu.Lock()
	c.writing = false
	if err != nil {
		c.werr = c.writeFailure(ctx, n, size, err)
		err = c.werr
		c.mu.Unlock()
		return c.writeBroke(err, nil)
	}
	c.uncut()
	c.leaveOut()
	c.mu.Unlock()
	return nil
}

// leaveOut gives the out turn up, to a goroutine if something waits to be written that nobody else would write. The
// caller holds mu and the turn.
func (c *Conn) leaveOut() {
	if c.moreToWrite() && c.werr == nil && c.closeErr == nil {
		c.writeQueued() // it is not for a Write whose own frame is out to wait for those of others
		return
	}
	c.giveOut()
}

// place gives a frame its place in the stream. The caller holds mu.
func (c *Conn) place(ctx context.Context, f outgoing) (frame.Header, error) {
	if err := c.canWrite(); err != nil {
		return frame.Header{}, err
	}
	if ctx.Err() != nil {
		return frame.Header{}, interrupted("write", ctx, errCtx)
	}
	var key [4]byte
	if c.role == RoleClient {
		key = maskKey()
	}
	return c.m.BeginFrame(f.t == Text, f.compressed, f.fin, len(f.p), key)
}

// inOne frames p in buf when both fit there: nil when they do not.
//
//go:noinline
func inOne(buf *transport.Buffer, h frame.Header, p []byte) []byte {
	if len(p) > together {
		return nil
	}
	b := frame.Append(buf[:0], h)
	start := len(b)
	b = append(b, p...)
	if h.Masked {
		frame.Mask(b[start:], h.Key)
	}
	return b
}

// put writes a frame that is too large for one buffer, and returns how many bytes of it went out.
func (c *Conn) put(buf *transport.Buffer, h frame.Header, p []byte) (int, error) {
	head := frame.Append(buf[:0], h)
	if !h.Masked {
		k := min(len(p), stride)
		n, err := c.stream.WriteVec(head, p[:k])
		if err != nil || k == len(p) {
			return n, err
		}
		c.moved.Store(true)
		m, err := c.stream.Write(p[k:], &c.moved)
		return n + m, err
	}
	// A client masks in the borrowed buffer, chunk by chunk: the caller's bytes stay as they are (RFC 6455 §5.3).
	sent := 0
	chunk := head
	for {
		k := copy(buf[len(chunk):], p)
		h.Key = frame.Mask(buf[len(chunk):len(chunk)+k], h.Key)
		n, err := c.stream.Write(buf[:len(chunk)+k], &c.moved)
		sent += n
		p = p[k:]
		if err != nil || len(p) == 0 {
			return sent, err
		}
		chunk = nil
	}
}

// stride is how much of a large frame is written together with its header.
const stride = 256 << 10

// joined is a Write that waits for its frame to go out with others. Its channel is made for each: one that outlived its
// use could not be used in a testing/synctest bubble and outside of it.
type joined struct {
	buf  [joinable + frame.MaxHeader]byte
	done chan error // holds one
}

var joiners = sync.Pool{New: func() any { return new(joined) }}

// joinLocked adds a frame to the next write, and waits for that. The caller holds mu, which is free when joinLocked
// returns.
func (c *Conn) joinLocked(ctx context.Context, f outgoing) error {
	h, err := c.place(ctx, f)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	j := joiners.Get().(*joined)
	j.done = make(chan error, 1)
	b := frame.Append(j.buf[:0], h)
	start := len(b)
	b = append(b, f.p...)
	if h.Masked {
		frame.Mask(b[start:], h.Key)
	}
	c.addEntry(entry{frame: b, join: j})
	done := c.endedChan()
	c.mu.Unlock()
	select {
	case err = <-j.done:
		joiners.Put(j)
		return err
	case <-ctx.Done():
	case <-done:
		return c.ended() // j may still be on its way out: it is not used again
	}
	return c.leave(ctx, j, done)
}

// leave takes j out of the queue, because ctx has ended. A frame that is on its way goes on if the stream takes it now.
func (c *Conn) leave(ctx context.Context, j *joined, ended <-chan struct{}) error {
	c.mu.Lock()
	if i := slices.IndexFunc(c.queue, func(e entry) bool { return e.join == j }); i >= 0 {
		c.remove(i, 1)
		c.mu.Unlock()
		return interrupted("write", ctx, errCtx)
	}
	if len(j.done) == 0 && c.werr == nil {
		c.cutWrite(fmt.Errorf("%w: a frame was on its way, so the connection is closed", interrupted("write", ctx, errCtx)))
	}
	c.mu.Unlock()
	select {
	case err := <-j.done:
		return err
	case <-ended:
		return c.ended()
	}
}

// flush writes what waits: control frames, messages that SendPrepared took and Writes that joined in, as many as fit together
// in one write. Then it passes the out turn on. The caller holds the turn; it still does when flush returns an error, and
// tells it to those Writes whose frames were left.
func (c *Conn) flush() (left []*joined, err error) {
	buf := transport.Borrow()
	defer transport.Return(buf)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.moreToWrite() && c.werr == nil && c.closeErr == nil {
		b := c.gather(buf[:0])
		var large entry
		if len(b) == 0 { // the next frame fills a buffer by itself
			large = c.queue[0]
			c.dequeue(1)
		}
		joins := c.taken
		c.taken = nil
		c.flying = len(b) + len(large.frame)
		c.mu.Unlock()
		err := c.putGathered(buf, b, large)
		if err == nil {
			tell(joins, nil)
		}
		c.mu.Lock()
		c.flying = 0
		if err != nil {
			c.werr = fmt.Errorf("websocket: write: %w", err)
			if c.cut != nil && transport.IsTimeout(err) {
				c.werr = c.cut
			}
			return joins, c.werr
		}
		c.uncut()
		if cap(joins) > 0 && c.taken == nil {
			clear(joins)
			c.taken = joins[:0]
		}
	}
	left, c.taken = c.taken, nil
	tell(left, c.canWrite())
	c.giveOut()
	return nil, nil
}

// tell tells Writes that joined in how it went.
func tell(joins []*joined, err error) {
	for _, j := range joins {
		j.done <- err
	}
}

func (c *Conn) putGathered(buf *transport.Buffer, b []byte, large entry) error {
	var err error
	switch {
	case len(b) > 0:
		_, err = c.stream.Write(b, &c.moved)
	case c.role == RoleServer:
		_, err = c.stream.Write(large.frame, &c.moved)
	default:
		h, _, _ := frame.Parse(large.frame)
		h.Masked, h.Key = true, maskKey()
		_, err = c.put(buf, h, large.frame[large.head:])
	}
	return err
}

// passOut is flush for those who do not hold the read turn.
func (c *Conn) passOut() {
	if left, err := c.flush(); err != nil {
		c.writeBroke(err, left)
	}
}

// send sees that ctl goes out: by whoever writes now, or by a goroutine that ends when it has. So nobody who reads, and
// no timer, ever waits for a peer that does not read. The caller holds mu.
func (c *Conn) send() {
	if len(c.ctl) > 0 {
		c.sendQueued()
	}
}

// writeFailure makes the error for a write that failed after n bytes. The caller holds mu.
func (c *Conn) writeFailure(ctx context.Context, n, size int, err error) error {
	if c.closeErr != nil {
		return c.closeErr
	}
	if transport.IsTimeout(err) && ctx.Err() != nil {
		return fmt.Errorf("%w: %d bytes of a frame with %d bytes of payload were sent, so the connection is closed",
			interrupted("write", ctx, errCtx), n, size)
	}
	return fmt.Errorf("websocket: write: %w", err)
}

// maskKey returns a masking key from a source that nobody can predict (RFC 6455 §5.3, §10.3).
func maskKey() (key [4]byte) {
	rand.Read(key[:])
	return key
}
