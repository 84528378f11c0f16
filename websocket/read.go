package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// longAgo is a deadline that has passed: setting it wakes whoever waits.
var longAgo = time.Unix(1, 0)

// errWoken is returned by fill when the wait was interrupted by a reader that wants the turn, or because the deadline
// passed.
var errWoken = errors.New("websocket: woken")

// direct is the least number of payload bytes that are worth a read of their own into the caller's buffer.
const direct = 2 << 10

// Read returns the next message. Its Data is the caller's.
//
// When ctx ends first, Read returns its error, wrapped, and nothing is lost: the next Read goes on with the same bytes.
// Any other error but [ErrConcurrentRead] is a [CloseError]: the connection has ended. A Read that was waiting when Close was
// called here goes on until the peer's close frame; one that begins later waits for the end of the closing handshake and
// returns that.
//
// A message that Reader began and that was not read to its end is skipped.
func (c *Conn) Read(ctx context.Context) (Message, error) {
	if err := c.beginRead(ctx, 0); err != nil {
		return Message{}, err
	}
	defer c.endRead()
	if err := c.await(ctx); err != nil {
		return Message{}, err
	}
	return c.readMessage(ctx, nil, true)
}

// ReadAppend is Read that appends the message to dst, and allocates nothing when it fits. On an error the Message's
// Data is dst as it was; the bytes behind it, up to its capacity, may have been written to.
func (c *Conn) ReadAppend(ctx context.Context, dst []byte) (Message, error) {
	if err := c.beginRead(ctx, 0); err != nil {
		return Message{Data: dst}, err
	}
	defer c.endRead()
	if err := c.await(ctx); err != nil {
		return Message{Data: dst}, err
	}
	m, err := c.readMessage(ctx, dst, false)
	if err != nil {
		m.Data = dst
	}
	return m, err
}

// Messages returns the messages that arrive, as Read does, until the connection ends. A peer or a Close here that ended
// it in good order, with CodeNormal or CodeGoingAway, just ends the sequence; any other error is its last element. When ctx ends,
// Messages closes the connection with CodeGoingAway before it yields that error.
func (c *Conn) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := c.Read(ctx)
			if err != nil {
				var ce *CloseError
				if errors.As(err, &ce) && ce.Clean() {
					return
				}
				if ctx.Err() != nil && c.ended() == nil {
					c.Close(CodeGoingAway, "") //nolint:errcheck // the error to report is the context's
				}
				yield(Message{}, err)
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// beginRead takes the read turn for the application: for a read of its own, or for more of the one numbered resume.
func (c *Conn) beginRead(ctx context.Context, resume uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case resume != 0 && c.readSeq != resume:
		return ErrStaleReader
	case c.closeErr != nil:
		return c.closeErr
	case c.userRead:
		return ErrConcurrentRead
	case c.closing != nil:
		return c.waitEnd(ctx)
	}
	c.userRead = true
	c.wakeReadLocked() // a Ping that reads because nobody did makes way
	if err := c.wait(ctx, &c.read); err != nil {
		c.userRead = false
		return interrupted("read", ctx, err)
	}
	c.yields, c.running = false, true
	if resume == 0 {
		c.readSeq++
	}
	return nil
}

// waitEnd waits for the end of a connection that is being closed, so that who reads until there is an error, and then
// lets go of the connection, does not cut the closing handshake short. The caller holds mu.
func (c *Conn) waitEnd(ctx context.Context) error {
	done := c.endedChan()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-done:
		return c.ended()
	case <-ctx.Done():
		return interrupted("read", ctx, errCtx)
	}
}

func (c *Conn) endRead() { c.endTurn(false) }

// endTurn gives the read turn up. The application reads on in a View, or not.
func (c *Conn) endTurn(views bool) {
	c.release()
	if more := len(c.win) > 0; more != c.batch.Load() {
		c.batch.Store(more)
	}
	c.mu.Lock()
	c.userRead, c.running = views, false
	c.read.give()
	c.nudge()
	c.unguarded()
	c.mu.Unlock()
}

// giveRead is endRead for those of us who read because nobody did.
func (c *Conn) giveRead() {
	c.release()
	c.mu.Lock()
	c.read.give()
	c.nudge()
	c.mu.Unlock()
}

// release gives the read buffer back when nothing of it is needed.
func (c *Conn) release() {
	if len(c.win) > 0 || c.pending {
		return
	}
	c.win = nil
	if c.buf != nil {
		if !c.lent.CompareAndSwap(lentBoth, lentAlone) {
			transport.Return(c.buf)
		}
		c.buf = nil
	}
}

// await waits until the next message has begun. It is the one place where a connection that is idle waits, and calls what
// waits from as few and small frames as can be: a goroutine whose stack stays within its first 2 KiB costs half as much.
func (c *Conn) await(ctx context.Context) error {
	if c.halfRead || c.midway || c.zip != nil && c.zip.message != nil {
		return nil // a message is under way already
	}
	for !c.pending {
		if err := c.parse(ctx); err != nil || c.pending {
			return err
		}
		c.release()
		if _, err := c.receive(ctx, time.Time{}, nil); err != nil {
			return err
		}
	}
	return nil
}

// readMessage appends the next message to dst. fresh says that dst is not the caller's, so that it can be kept when ctx
// ends in the middle of a message.
func (c *Conn) readMessage(ctx context.Context, dst []byte, fresh bool) (Message, error) {
	if err := c.skipRest(ctx); err != nil {
		return Message{}, err
	}
	base := len(dst)
	if c.halfRead {
		if fresh {
			dst = c.partial
		} else {
			dst = append(dst, c.partial...)
		}
		c.partial, c.halfRead = nil, false
	}
	for {
		if c.zip != nil && c.zip.message != nil {
			dst, err := c.zip.appendRest(ctx, dst)
			if err != nil {
				return Message{}, c.keepPartial(dst, base, fresh, err)
			}
			return Message{Type: typeOf(c.m.Text()), Data: dst}, nil
		}
		ev, err := c.next(ctx)
		if err != nil {
			return Message{}, c.keepPartial(dst, base, fresh, err)
		}
		if ev.Compressed {
			if ev.First && ev.Last {
				dst, err = c.zip.appendWhole(ctx, dst, ev)
				return Message{Type: typeOf(ev.Text), Data: dst}, err
			}
			c.zip.begin(ev)
			continue
		}
		if ev.Last && len(dst) == base && fresh {
			dst = slices.Clone(ev.Payload) // a message in one piece: exactly its size
		} else {
			dst = append(dst, ev.Payload...)
		}
		for !ev.Last && len(c.win) == 0 && c.m.Left() >= direct {
			if dst, ev, err = c.readDirect(ctx, dst); err != nil {
				return Message{}, c.keepPartial(dst, base, fresh, err)
			}
		}
		if ev.Last {
			return Message{Type: typeOf(ev.Text), Data: dst}, nil
		}
	}
}

// readDirect reads payload from the stream straight behind dst. What the peer announced is not trusted with memory:
// dst grows with what has arrived.
func (c *Conn) readDirect(ctx context.Context, dst []byte) ([]byte, protocol.Event, error) {
	c.release()
	room := int(min(c.m.Left(), int64(max(len(dst), 2*transport.BufferSize))))
	if cap(dst)-len(dst) < min(room, transport.BufferSize) {
		if c.viewing {
			dst = c.grow(dst, c.m.Left())
		} else {
			dst = slices.Grow(dst, room)
		}
	}
	room = int(min(c.m.Left(), int64(cap(dst)-len(dst))))
	spare := dst[len(dst) : len(dst)+room]
	n, err := c.receive(ctx, time.Time{}, spare)
	if err != nil {
		return dst, protocol.Event{}, err
	}
	ev, _, err := c.m.Step(spare[:n])
	if err != nil {
		return dst, ev, c.violated(ctx, err)
	}
	return dst[:len(dst)+n], ev, nil
}

// keepPartial keeps what has arrived of a message when a read is interrupted.
func (c *Conn) keepPartial(dst []byte, base int, fresh bool, err error) error {
	begun := len(dst) > base || c.zip != nil && c.zip.message != nil // a header alone the Machine remembers
	if begun && c.ended() == nil {
		c.halfRead = true
		if fresh {
			c.partial = dst
		} else {
			c.partial = slices.Clone(dst[base:])
		}
	}
	return err
}

// skipRest skips what is left of a message that a Reader began.
func (c *Conn) skipRest(ctx context.Context) error {
	if c.midway && c.zip != nil && c.zip.message != nil {
		if err := c.zip.skip(ctx); err != nil {
			return err
		}
		c.midway = false
	}
	for c.midway {
		ev, err := c.next(ctx)
		if err != nil {
			return err
		}
		c.midway = !ev.Last
	}
	return nil
}

// next returns the next piece of a message. The caller holds the read turn; the piece lies in the read buffer until the
// next call.
func (c *Conn) next(ctx context.Context) (protocol.Event, error) {
	for {
		if c.pending {
			ev := c.cur
			c.cur, c.pending = protocol.Event{}, false // an idle connection must not hold on to the buffer
			return ev, nil
		}
		if err := c.parse(ctx); err != nil {
			return protocol.Event{}, err
		}
		if c.pending {
			continue
		}
		if err := c.fill(ctx, time.Time{}); err != nil {
			return protocol.Event{}, err
		}
	}
}

// parse steps through the bytes at hand until a piece of a message, which is then pending, and sees to the control frames
// among them.
func (c *Conn) parse(ctx context.Context) error {
	for len(c.win) > 0 && !c.pending {
		ev, n, err := c.m.Step(c.win)
		c.win = c.win[n:]
		if err == nil && ev.Kind != protocol.None && ev.Kind != protocol.Data {
			err = c.control(ev)
		}
		if err != nil {
			return c.violated(ctx, err)
		}
		switch ev.Kind {
		case protocol.Close:
			return c.closed(ctx, ev)
		case protocol.Data:
			c.cur, c.pending = ev, true
		}
	}
	c.reply()
	return nil
}

// fill waits for bytes until ctx is done or the deadline has passed, if there is one; then it returns an error that the
// connection survives. Any other error has ended it.
func (c *Conn) fill(ctx context.Context, deadline time.Time) error {
	c.release()
	_, err := c.receive(ctx, deadline, nil)
	return err
}

// receive reads into p, or into the read buffer when p is nil, so that ctx, the deadline and wakeReadLocked can interrupt
// it.
func (c *Conn) receive(ctx context.Context, deadline time.Time, p []byte) (int, error) {
	if err := c.readyToRead(ctx, deadline); err != nil {
		return 0, err
	}
	for {
		var n int
		var err error
		if p == nil {
			c.buf, c.win, err = c.stream.ReadSome(c.m.Left() > 0)
			n = len(c.win)
		} else {
			n, err = c.stream.Read(p)
		}
		c.mu.Lock()
		c.waiting = false
		if c.woken || !deadline.IsZero() {
			c.stream.SetReadDeadline(time.Time{})
		}
		c.mu.Unlock()
		if n > 0 {
			if !c.heard.Load() {
				c.heard.Store(true)
			}
			return n, nil // an error that came with bytes comes again without them
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		if !transport.IsTimeout(err) {
			return 0, c.end(c.broke(err))
		}
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return 0, errWoken
		}
		// Woken for a reason that readyToRead finds, or for a context that is no longer watched: then once more.
		if err := c.readyToRead(ctx, deadline); err != nil {
			return 0, err
		}
	}
}

// readyToRead announces a wait for bytes, so that it can be interrupted, unless there is a reason not to wait.
func (c *Conn) readyToRead(ctx context.Context, deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeErr != nil {
		return c.closeErr
	}
	c.watch(ctx, &c.readCtx, &c.writeCtx)
	if ctx.Err() != nil {
		return interrupted("read", ctx, errCtx)
	}
	if c.yields && len(c.read.queue) > 0 || c.running && c.drainDue {
		return errWoken
	}
	c.waiting, c.woken = true, false
	if !deadline.IsZero() {
		c.stream.SetReadDeadline(deadline)
	}
	return nil
}

func typeOf(text bool) Type {
	if text {
		return Text
	}
	return Binary
}

// interrupted says that ctx ended a call, when err is errCtx; any other error it returns as it is.
func interrupted(what string, ctx context.Context, err error) error {
	if err != errCtx {
		return err
	}
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("websocket: %s interrupted: %w: %w", what, ctx.Err(), cause)
	}
	return fmt.Errorf("websocket: %s interrupted: %w", what, ctx.Err())
}
