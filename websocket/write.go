package websocket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// ErrInvalidUTF8 is returned for a text message that is not UTF-8. Nothing was sent; RFC 6455 §5.6 allows it as Binary.
var ErrInvalidUTF8 = errors.New("websocket: a text message must be UTF-8 (RFC 6455 §5.6); send other bytes as Binary")

// together is the most payload that is copied behind its header to make one write of both. Longer ones are written
// from where they lie, with writev.
const together = 8 << 10

// Write sends m as one frame, compressed if that was agreed on, and returns when the kernel has all of it. m.Data stays the caller's, unchanged.
//
// When ctx ends while Write waits for its turn, nothing was sent and the connection lives. When it ends while the frame
// is on its way, half a frame is out: Write says so and the connection is closed.
func (c *Conn) Write(ctx context.Context, m Message) error { return c.write(ctx, m, false) }

func (c *Conn) write(ctx context.Context, m Message, plain bool) error {
	if m.Type != Text && m.Type != Binary {
		return fmt.Errorf("websocket: message type %d is neither Text nor Binary", m.Type)
	}
	if m.Type == Text && !utf8.Valid(m.Data) {
		return ErrInvalidUTF8
	}
	if err := c.beginMessage(ctx); err != nil {
		return err
	}
	defer c.endMessage()
	if c.zip != nil && !plain && len(m.Data) >= c.zip.threshold {
		return c.writeCompressed(ctx, m)
	}
	return c.writeFrame(ctx, m.Type, false, true, m.Data)
}

// beginMessage takes the turn to send a message.
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

func (c *Conn) endMessage() {
	c.mu.Lock()
	c.message.give()
	c.mu.Unlock()
}

// writeFrame sends p as one data frame. The caller holds the message turn.
func (c *Conn) writeFrame(ctx context.Context, t Type, compressed, fin bool, p []byte) error {
	var key [4]byte
	if c.role == Client {
		key = maskKey()
	}
	c.mu.Lock()
	if err := c.wait(ctx, &c.out); err != nil {
		c.mu.Unlock()
		return interrupted("write", ctx, err)
	}
	err := c.canWrite()
	if err == nil && ctx.Err() != nil {
		err = interrupted("write", ctx, errCtx)
	}
	var h frame.Header
	if err == nil {
		h, err = c.m.BeginFrame(t == Text, compressed, fin, len(p), key)
	}
	if err != nil {
		c.mu.Unlock()
		c.passOut()
		return err
	}
	c.writing = true
	if c.writeCtx.done != ctx.Done() {
		c.writeCtx.set(ctx, c.wakeWrite)
	}
	c.mu.Unlock()

	n, err := c.put(h, p)

	c.mu.Lock()
	c.writing = false
	if err != nil {
		c.werr = c.writeFailure(ctx, n, len(p), err)
		c.mu.Unlock()
		return c.writeBroke(c.werr)
	}
	if ctx.Err() != nil && c.closing == nil {
		c.stream.SetWriteDeadline(time.Time{}) // it was set for a write that was done already
	}
	if len(c.ctl) == 0 {
		c.out.give()
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	c.passOut()
	return nil
}

// put writes a frame and returns how many bytes of it went out.
func (c *Conn) put(h frame.Header, p []byte) (int, error) {
	buf := transport.Borrow()
	defer transport.Return(buf)
	head := frame.Append(buf[:0], h)
	if !h.Masked && len(p) > together {
		return c.stream.WriteVec(head, p)
	}
	// A client masks in the borrowed buffer, chunk by chunk: the caller's bytes stay as they are (RFC 6455 §5.3).
	sent := 0
	chunk := head
	for {
		k := copy(buf[len(chunk):], p)
		masked := buf[len(chunk) : len(chunk)+k]
		if h.Masked {
			h.Key = frame.Mask(masked, h.Key)
		}
		n, err := c.stream.Write(buf[:len(chunk)+k])
		sent += n
		p = p[k:]
		if err != nil || len(p) == 0 {
			return sent, err
		}
		chunk = nil
	}
}

// flush writes the control frames that wait, and passes the out turn on. The caller holds the turn; it still does when
// flush returns an error.
func (c *Conn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.ctl) > 0 && c.werr == nil && c.closeErr == nil {
		ctl := c.ctl
		c.ctl = nil
		c.mu.Unlock()
		_, err := c.stream.Write(ctl)
		c.mu.Lock()
		if err != nil {
			c.werr = fmt.Errorf("websocket: writing a control frame: %w", err)
			return c.werr
		}
	}
	c.out.give()
	return nil
}

// passOut is flush for those who do not hold the read turn.
func (c *Conn) passOut() {
	if err := c.flush(); err != nil {
		c.writeBroke(err)
	}
}

// send sees that ctl goes out: by whoever writes now, or by a goroutine that ends when it has. So nobody who reads, and
// no timer, ever waits for a peer that does not read. The caller holds mu.
func (c *Conn) send() {
	if len(c.ctl) > 0 && c.out.take() {
		go c.passOut()
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
