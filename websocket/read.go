package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// longAgo is a deadline in the past: setting it wakes a waiting read.
var longAgo = time.Unix(1, 0)

// errWoken is returned by fill if another reader wants the turn, or the deadline has passed.
var errWoken = errors.New("websocket: woken")

// minDirectRead is the minimum number of missing payload bytes for which a separate read goes directly into the caller's buffer.
const minDirectRead = 2 << 10

// inbox is the reading half of a Conn: the state of the reader, and the received bytes that are unread.
//
// The holder of the read turn owns the first group of fields. Any goroutine may read the flags of the second group. The Conn's mu
// guards the rest, including the turn.
type inbox struct {
	c *Conn

	unparsed   []byte            // received and unparsed bytes
	buf        *transport.Buffer // the memory of unparsed; nil if unparsed refers to other memory
	cur        protocol.Event    // a piece of a message that has not been read
	partial    []byte            // the part of a message that an interrupted Read had received
	pending    bool              // cur contains a piece
	hasPartial bool              // partial contains a part, perhaps of no bytes
	readerOpen bool              // a Reader's message was not read to its end
	viewing    bool              // a View reads a message that is not entirely in the read buffer
	yields     bool              // this reader gives up the turn for a waiting reader
	readSeq    uint64            // the number of the current read, by which a Reader detects a later read
	controls   controlRate

	batch    atomic.Bool   // the application is busy with a message, and unparsed contains bytes that follow that message
	received atomic.Bool   // bytes have arrived since the last check of keepalive
	bufOwner atomic.Uint32 // ownedByInbox, ownedByBoth or ownedByView: determines whether the inbox or a View returns buf to the pool

	read         turn  // the right to read from the stream
	readCtx      watch // the context that interrupts reads
	userRead     bool  // the application is reading, or in a View
	running      bool  // the application holds the read turn
	waiting      bool  // the holder of the read turn is in the stream's Read, or about to be
	woken        bool  // the holder of the read turn was interrupted while waiting was set
	wantsDrained bool  // Run's Receiver has a method Drained
	drainDue     bool  // Run must call Drained
	halfClose    bool  // ConnOptions.HalfClose
}

// Read returns the next message. The caller owns its Data.
//
// If ctx is done first, Read returns an error that wraps ctx's, and nothing is lost: the next Read continues with the same bytes.
// Any other error except [ErrConcurrentRead] is a [CloseError]: the connection has ended. A Read that is waiting when Close is
// called continues until the peer's close frame arrives; a later Read waits for the end of the closing handshake and returns its
// CloseError.
//
// Read skips the remainder of a message that was returned by Reader and not read to its end.
func (c *Conn) Read(ctx context.Context) (Message, error) {
	if err := c.inbox.beginRead(ctx, 0); err != nil {
		return Message{}, err
	}
	defer c.inbox.endRead(false)
	if err := c.inbox.await(ctx); err != nil {
		return Message{}, err
	}
	return c.inbox.readMessage(ctx, nil, true)
}

// Messages returns a sequence that reads messages, as Read does, until the connection ends. If either end closed the connection
// normally, with CodeNormal or CodeGoingAway, the sequence just ends; any other error is its last element. When ctx is done,
// Messages closes the connection with CodeGoingAway before it yields ctx's error.
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
					c.Close(CodeGoingAway, "") //nolint:errcheck // the error of the context is reported instead
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

// beginRead takes the read turn for the application, either for a new read or to resume the read with the number resume.
func (in *inbox) beginRead(ctx context.Context, resume uint64) error {
	in.c.mu.Lock()
	defer in.c.mu.Unlock()
	switch {
	case resume != 0 && in.readSeq != resume:
		return errStaleReader
	case in.c.closeErr != nil:
		return in.c.closeErr
	case in.userRead:
		return ErrConcurrentRead
	case in.c.peerClose != nil && in.c.closing == nil:
		return in.c.peerClose
	case in.c.closing != nil && (in.c.peerClose != nil || !in.halfClose):
		return in.waitEnd(ctx)
	}
	in.userRead = true
	in.wakeReadLocked() // if a Ping is holding the turn because no other goroutine was reading, make it give up the turn
	if err := in.c.wait(ctx, &in.read); err != nil {
		in.userRead = false
		return interrupted("read", ctx, err)
	}
	in.yields, in.running = false, true
	if resume == 0 {
		in.readSeq++
	}
	return nil
}

// waitEnd waits until a connection that is being closed has ended. If waitEnd returned earlier, a caller that reads until the first
// error and then calls CloseNow would cut the closing handshake short. The caller holds mu.
func (in *inbox) waitEnd(ctx context.Context) error {
	done := in.c.endedChan()
	in.c.mu.Unlock()
	defer in.c.mu.Lock()
	select {
	case <-done:
		return in.c.ended()
	case <-ctx.Done():
		return interrupted("read", ctx, errCtx)
	}
}

// endRead gives up the read turn. viewing means that the application is still in a View.
func (in *inbox) endRead(viewing bool) {
	in.releaseBuffer()
	if more := len(in.unparsed) > 0; more != in.batch.Load() {
		in.batch.Store(more)
	}
	in.c.mu.Lock()
	in.userRead, in.running = viewing, false
	in.read.release()
	in.wakePing()
	in.scheduleRead()
	in.c.mu.Unlock()
}

// releaseRead is endRead for reads that the application has not requested: those of Ping, Close and a failed Write.
func (in *inbox) releaseRead() {
	in.releaseBuffer()
	in.c.mu.Lock()
	in.read.release()
	in.wakePing()
	in.scheduleRead()
	in.c.mu.Unlock()
}

// releaseBuffer returns the read buffer to the pool if it is empty.
func (in *inbox) releaseBuffer() {
	if len(in.unparsed) > 0 || in.pending {
		return
	}
	in.unparsed = nil
	if in.buf != nil {
		if !in.bufOwner.CompareAndSwap(ownedByBoth, ownedByView) {
			transport.Return(in.buf)
		}
		in.buf = nil
	}
}

// await waits until the next message has begun. It is the only function in which an idle connection waits, and it waits with as few
// and small stack frames as possible: a goroutine whose stack stays within its first 2 KiB takes half as much memory.
func (in *inbox) await(ctx context.Context) error {
	if in.hasPartial || in.readerOpen || in.c.compression != nil && in.c.compression.message != nil {
		return nil // a message has already begun
	}
	for !in.pending {
		if err := in.parse(ctx); err != nil || in.pending {
			return err
		}
		in.releaseBuffer()
		if _, err := in.receive(ctx, time.Time{}, nil); err != nil {
			return err
		}
	}
	return nil
}

// readMessage appends the next message to dst. fresh means that dst is not the caller's, so that it can be kept if ctx is done in
// the middle of a message.
func (in *inbox) readMessage(ctx context.Context, dst []byte, fresh bool) (Message, error) {
	if err := in.skipRest(ctx); err != nil {
		return Message{}, err
	}
	base := len(dst)
	if in.hasPartial {
		if fresh {
			dst = in.partial
		} else {
			dst = append(dst, in.partial...)
		}
		in.partial, in.hasPartial = nil, false
	}
	for {
		if in.c.compression != nil && in.c.compression.message != nil {
			dst, err := in.c.compression.appendRest(ctx, dst)
			if err != nil {
				return Message{}, in.keepPartial(dst, base, fresh, err)
			}
			return Message{Type: typeOf(in.c.m.Text()), Data: dst}, nil
		}
		ev, err := in.next(ctx)
		if err != nil {
			return Message{}, in.keepPartial(dst, base, fresh, err)
		}
		if ev.Compressed {
			if ev.First && ev.Last {
				dst, err = in.c.compression.appendWhole(ctx, dst, ev)
				return Message{Type: typeOf(ev.Text), Data: dst}, err
			}
			in.c.compression.begin(ev)
			continue
		}
		if ev.Last && len(dst) == base && fresh {
			dst = slices.Clone(ev.Payload) // a message in one piece: allocate exactly its size
		} else {
			dst = append(dst, ev.Payload...)
		}
		for !ev.Last && len(in.unparsed) == 0 && in.c.m.Left() >= minDirectRead {
			if dst, ev, err = in.readDirect(ctx, dst); err != nil {
				return Message{}, in.keepPartial(dst, base, fresh, err)
			}
		}
		if ev.Last {
			return Message{Type: typeOf(ev.Text), Data: dst}, nil
		}
	}
}

// readDirect reads payload from the stream into dst. An announced length does not allocate memory: dst grows with the received
// bytes.
func (in *inbox) readDirect(ctx context.Context, dst []byte) ([]byte, protocol.Event, error) {
	in.releaseBuffer()
	room := int(min(in.c.m.Left(), int64(max(len(dst), 2*transport.BufferSize))))
	if cap(dst)-len(dst) < min(room, transport.BufferSize) {
		if in.viewing {
			dst = growLarge(dst, in.c.m.Left())
		} else {
			dst = slices.Grow(dst, room)
		}
	}
	room = int(min(in.c.m.Left(), int64(cap(dst)-len(dst))))
	spare := dst[len(dst) : len(dst)+room]
	n, err := in.receive(ctx, time.Time{}, spare)
	if err != nil {
		return dst, protocol.Event{}, err
	}
	ev, _, err := in.c.m.Step(spare[:n])
	if err != nil {
		return dst, ev, in.violated(ctx, err)
	}
	return dst[:len(dst)+n], ev, nil
}

// keepPartial keeps the received part of a message when a read is interrupted.
func (in *inbox) keepPartial(dst []byte, base int, fresh bool, err error) error {
	begun := len(dst) > base || in.c.compression != nil && in.c.compression.message != nil // the Machine remembers a header without payload
	if begun && in.c.ended() == nil {
		in.hasPartial = true
		if fresh {
			in.partial = dst
		} else {
			in.partial = slices.Clone(dst[base:])
		}
	}
	return err
}

// skipRest skips the remainder of a message that a Reader has begun.
func (in *inbox) skipRest(ctx context.Context) error {
	if in.readerOpen && in.c.compression != nil && in.c.compression.message != nil {
		if err := in.c.compression.skip(ctx); err != nil {
			return err
		}
		in.readerOpen = false
	}
	for in.readerOpen {
		ev, err := in.next(ctx)
		if err != nil {
			return err
		}
		in.readerOpen = !ev.Last
	}
	return nil
}

// next returns the next piece of a message. The caller holds the read turn; the piece is in the read buffer until the next call.
func (in *inbox) next(ctx context.Context) (protocol.Event, error) {
	for {
		if in.pending {
			ev := in.cur
			in.cur, in.pending = protocol.Event{}, false // cleared, because an idle connection must not keep the buffer alive
			return ev, nil
		}
		if err := in.parse(ctx); err != nil {
			return protocol.Event{}, err
		}
		if in.pending {
			continue
		}
		if err := in.fill(ctx, time.Time{}); err != nil {
			return protocol.Event{}, err
		}
	}
}

// parse parses the received bytes up to a piece of a message, which is then pending, and handles the control frames among them.
func (in *inbox) parse(ctx context.Context) error {
	for len(in.unparsed) > 0 && !in.pending {
		ev, n, err := in.c.m.Step(in.unparsed)
		in.unparsed = in.unparsed[n:]
		if err == nil && ev.Kind != protocol.None && ev.Kind != protocol.Data {
			err = in.control(ev)
		}
		if err != nil {
			return in.violated(ctx, err)
		}
		switch ev.Kind {
		case protocol.Close:
			return in.closed(ctx, ev)
		case protocol.Data:
			in.cur, in.pending = ev, true
		}
	}
	in.reply()
	return nil
}

// fill waits for bytes. If ctx is done or the deadline, if any, has passed, it returns an error that does not end the connection.
// Any other error has ended the connection.
func (in *inbox) fill(ctx context.Context, deadline time.Time) error {
	in.releaseBuffer()
	_, err := in.receive(ctx, deadline, nil)
	return err
}

// receive reads into p, or into the read buffer if p is nil. ctx, the deadline and wakeReadLocked can interrupt it.
func (in *inbox) receive(ctx context.Context, deadline time.Time, p []byte) (int, error) {
	if err := in.readyToRead(ctx, deadline); err != nil {
		return 0, err
	}
	for {
		var n int
		var err error
		if p == nil {
			in.buf, in.unparsed, err = in.c.stream.ReadSome(in.c.m.Left() > 0)
			n = len(in.unparsed)
		} else {
			n, err = in.c.stream.Read(p)
		}
		in.c.mu.Lock()
		in.waiting = false
		if in.woken || !deadline.IsZero() {
			in.c.stream.SetReadDeadline(time.Time{})
		}
		in.c.mu.Unlock()
		if n > 0 {
			if !in.received.Load() {
				in.received.Store(true)
			}
			return n, nil // an error that arrives with bytes is returned again by the next read
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		if !transport.IsTimeout(err) {
			return 0, in.c.end(in.readFailed(err))
		}
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return 0, errWoken
		}
		// The read was woken for a reason that readyToRead finds, or for a context that is no longer watched. In the latter case,
		// read again.
		if err := in.readyToRead(ctx, deadline); err != nil {
			return 0, err
		}
	}
}

// readyToRead announces a wait for bytes, which can then be interrupted. It returns an error if there is a reason not to wait.
func (in *inbox) readyToRead(ctx context.Context, deadline time.Time) error {
	in.c.mu.Lock()
	defer in.c.mu.Unlock()
	if in.c.closeErr != nil {
		return in.c.closeErr
	}
	in.c.watch(ctx, &in.readCtx, &in.c.outbox.writeCtx)
	if ctx.Err() != nil {
		return interrupted("read", ctx, errCtx)
	}
	if in.yields && len(in.read.queue) > 0 || in.running && in.drainDue {
		return errWoken
	}
	in.waiting, in.woken = true, false
	if !deadline.IsZero() {
		in.c.stream.SetReadDeadline(deadline)
	}
	return nil
}

func typeOf(text bool) Type {
	if text {
		return Text
	}
	return Binary
}

// interrupted returns the error for a call that was interrupted because ctx is done, if err is errCtx. It returns any other error
// unchanged.
func interrupted(what string, ctx context.Context, err error) error {
	if err != errCtx {
		return err
	}
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("websocket: %s interrupted: %w: %w", what, ctx.Err(), cause)
	}
	return fmt.Errorf("websocket: %s interrupted: %w", what, ctx.Err())
}
