package websocket

import (
	"context"
	"errors"
	"time"

	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// Close ends the connection with a closing handshake (RFC 6455 §7.1.2): it sends a close frame, waits for the peer's, and closes
// the stream. It takes at most CloseTimeout. Messages that the peer sends before its close frame are passed to a waiting Read, or
// are discarded.
//
// With CodeNoStatus, the close frame contains no code. With a code that must not be sent, Close returns an error and sends nothing.
// A reason of more than 123 bytes is cut at a character boundary.
//
// Close returns nil if both close frames were exchanged, and otherwise the CloseError.
func (c *Conn) Close(code Code, reason string) error {
	deadline := time.Now().Add(c.opts.closeTimeout)
	c.mu.Lock()
	if c.closeErr != nil {
		defer c.mu.Unlock()
		return afterHandshake(c.closeErr)
	}
	if e := c.closing; e != nil { // another Close, or the reply to the peer's close frame, is in progress
		c.mu.Unlock()
		return c.awaitEnd(deadline, e)
	}
	e, err := c.beginClose(code, reason, deadline)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.finishClose(deadline, e)
}

// beginClose sends our close frame after the queued messages; nothing can be sent after it. The caller holds mu.
func (c *Conn) beginClose(code Code, reason string, deadline time.Time) (*CloseError, error) {
	ctl, err := c.m.AppendClose(c.outbox.ctl, uint16(code), reason, maskKey)
	if err != nil {
		return nil, errCloseCode(code, err)
	}
	c.outbox.ctl = ctl
	if c.closing = c.peerClose; c.closing == nil { // if peerClose is set, our close frame is the reply to the peer's
		c.closing = &CloseError{Code: code, Reason: reason}
	}
	c.outbox.boundWrites(deadline)
	c.outbox.flush()
	return c.closing, nil
}

// finishClose waits for the peer's close frame. At the deadline it cuts the connection.
func (c *Conn) finishClose(deadline time.Time, e *CloseError) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	c.mu.Lock()
	c.inbox.wakeReadLocked() // if a Ping is holding the read turn because no other goroutine was reading, make it give up the turn
	if c.peerClose != nil {
		c.mu.Unlock()
		c.finishAlone(e, afterClose)
		return c.awaitEnd(deadline, e)
	}
	err := c.wait(ctx, &c.inbox.read) // waits for a Read in progress, which may itself receive the close frame
	c.mu.Unlock()
	if err == nil {
		c.inbox.discard(ctx)
		c.inbox.releaseRead()
	}
	return c.awaitEnd(deadline, e)
}

// afterHandshake returns nil if e describes a connection that ended with a closing handshake.
func afterHandshake(e *CloseError) error {
	if e.Err == nil {
		return nil
	}
	return e
}

// awaitEnd waits until the connection has ended. At the deadline it cuts the connection.
func (c *Conn) awaitEnd(deadline time.Time, e *CloseError) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	c.mu.Lock()
	done := c.endedChan()
	c.mu.Unlock()
	select {
	case <-done:
	case <-timer.C:
		c.end(c.outbox.outcome(e))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return afterHandshake(c.closeErr)
}

// discard reads until the connection has ended or ctx is done. The caller holds the read turn.
func (in *inbox) discard(ctx context.Context) {
	in.yields, in.pending, in.cur = false, false, protocol.Event{}
	for {
		if _, err := in.next(ctx); err != nil {
			return
		}
	}
}

// closed completes the closing handshake after the peer's close frame has arrived. The caller holds the read turn.
func (in *inbox) closed(ctx context.Context, ev protocol.Event) error {
	e := &CloseError{Code: Code(ev.Code), Reason: string(ev.Payload), ByPeer: true}
	if in.halfClose {
		in.unparsed = nil // data after a close frame is ignored, and the connection may stay open for a while
		if began := in.recordPeerClose(e); began != nil {
			_ = in.finish(ctx, began, afterClose) // the error of finish is not returned, because e contains the peer's code and reason
		}
		return e
	}
	e = in.c.setClosing(e) // RFC 6455 §7.1.5, §7.1.6: the first close frame counts; if that was ours, the peer's is the reply
	return in.finish(ctx, e, afterClose)
}

// recordPeerClose records the peer's close frame. If our close frame was sent earlier, the closing handshake is complete, and
// recordPeerClose returns the CloseError with which the handshake began. Otherwise, it returns nil.
func (in *inbox) recordPeerClose(e *CloseError) (began *CloseError) {
	c := in.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peerClose = e
	c.inbox.batch.Store(false)
	c.m.WithholdClose()
	c.outbox.ctl = c.m.AppendOutput(c.outbox.ctl, protocol.PongRoom, maskKey) // replies to earlier pings
	c.outbox.flush()
	return c.closing
}

// afterClose bounds the wait for the end of the TCP connection after both close frames were exchanged. RFC 6455 §7.1.1: the server
// closes first, and a client waits for that. A server reads until the client has closed, because closing a socket with unread bytes
// would reset the connection.
const afterClose = time.Second

// violated ends the connection because the peer broke a rule: it sends a close frame, and then closes the stream (RFC 6455 §7.1.7).
// The caller holds the read turn.
func (in *inbox) violated(ctx context.Context, err error) error {
	var v *protocol.Violation
	if !errors.As(err, &v) {
		return in.c.end(&CloseError{Code: CodeAbnormal, Err: err})
	}
	e := violation(v)
	in.c.setClosing(e)
	return in.finish(ctx, e, in.c.opts.closeTimeout)
}

// setClosing records e as the reason why the connection is about to end, and returns it. If a closing handshake is already in progress,
// setClosing returns the reason for that handshake instead. Afterwards nothing more can be read, and no further write is accepted. When
// setClosing returns, the messages that were accepted before, and the control frames that the protocol requires after them, are being
// sent.
func (c *Conn) setClosing(e *CloseError) *CloseError {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox.batch.Store(false) // later bytes are ignored
	if c.closing == nil {
		c.closing = e
		c.outbox.pending.notifyRoom() // wakes the Sends that wait for room, so that they fail
	}
	c.outbox.ctl = c.m.AppendOutput(c.outbox.ctl, protocol.PongRoom, maskKey)
	c.outbox.boundWrites(time.Now().Add(c.opts.closeTimeout))
	c.outbox.flush()
	return c.closing
}

// finish ends the connection when all data has been passed to the kernel, and the peer has closed its direction or the linger time
// is over. If ctx ends first, a goroutine does the rest. The caller holds the read turn.
func (in *inbox) finish(ctx context.Context, e *CloseError, lingering time.Duration) error {
	switch err := in.c.outbox.waitSent(ctx); {
	case err == errCtx: //nolint:errorlint // errCtx is never wrapped
		go in.c.finishAlone(e, lingering) // returns within CloseTimeout
		return interrupted("read", ctx, err)
	case err == nil:
		in.linger(ctx, time.Now().Add(lingering), e)
	}
	return in.c.end(in.c.outbox.outcome(e))
}

// finishAlone is finish for callers that do not hold the read turn.
func (c *Conn) finishAlone(e *CloseError, lingering time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.closeTimeout)
	defer cancel()
	c.mu.Lock()
	err := c.wait(ctx, &c.inbox.read)
	c.mu.Unlock()
	if err == nil {
		if c.outbox.waitSent(ctx) == nil {
			c.inbox.linger(ctx, time.Now().Add(lingering), e)
		}
		c.inbox.releaseRead()
	}
	c.end(c.outbox.outcome(e))
}

// outcome returns the final CloseError of a connection that was about to end with e: e itself if waitSent has succeeded, and
// otherwise e with the reason why the closing handshake is incomplete.
func (o *outbox) outcome(e *CloseError) *CloseError {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	if o.allSent {
		return e
	}
	return e.incomplete(o.werr, o.out.held || o.moreToWrite(), o.c.opts.closeTimeout)
}

// waitSent waits until the kernel has accepted all data that is to be sent. It returns errCtx, or the error that ended the connection
// or made writing fail.
func (o *outbox) waitSent(ctx context.Context) error {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	for {
		if err := o.c.wait(ctx, &o.out); err != nil {
			return err
		}
		more := o.moreToWrite()
		o.flushAndRelease()
		if !more || o.werr != nil {
			o.allSent = o.werr == nil
			return o.werr
		}
	}
}

// linger gives the peer time to read the sent data: closing a socket with unread bytes would reset the connection and could destroy
// data in transit. The caller holds the read turn.
func (in *inbox) linger(ctx context.Context, deadline time.Time, e *CloseError) {
	if !in.c.m.Client && in.c.stream.CloseWrite() != nil && e.Err == nil {
		return // without a half-close, only Close can send the EOF that the client waits for
	}
	buf := transport.Borrow()
	defer transport.Return(buf)
	for {
		in.c.mu.Lock()
		if in.c.closeErr != nil || ctx.Err() != nil {
			in.c.mu.Unlock()
			return
		}
		in.c.watch(ctx, &in.readCtx, &in.c.outbox.writeCtx)
		in.waiting, in.woken = true, false
		in.c.stream.SetReadDeadline(deadline)
		in.c.mu.Unlock()
		if _, err := in.c.stream.Read(buf[:]); err != nil {
			return
		}
	}
}

// readFailed returns the CloseError of a connection after a failed read; the caller then calls end. readFailed does not call end itself, so
// that the stack frame of readFailed is gone when the stream is closed. The caller holds the read turn.
func (in *inbox) readFailed(err error) *CloseError {
	in.c.mu.Lock()
	begun, werr, ended := in.c.closing, in.c.outbox.werr, in.c.closeErr
	if begun == nil {
		begun = in.c.peerClose
	}
	in.c.mu.Unlock()
	if ended != nil {
		return ended
	}
	return readFailure(begun, werr, in.c.m.Within(), err)
}

// writeFailed handles a failed write, after which nothing can be written. If an unread close frame of the peer explains the failure,
// the connection ends with that frame's code. Unread messages can still be read. Other writes that were part of the failed one, or
// that were queued, get the same error. The caller holds the out turn, and not the read turn.
func (o *outbox) writeFailed(werr error, left []*joined) (err error) {
	defer func() { notifyJoined(left, err) }()
	if transport.IsTimeout(werr) || errors.Is(werr, context.Canceled) || errors.Is(werr, context.DeadlineExceeded) {
		return o.c.end(o.interruptedClose(werr))
	}
	o.c.mu.Lock()
	o.ctl, o.rest = nil, nil
	for i, e := range o.pending.queue {
		if e.join != nil {
			left = append(left, e.join)
			o.pending.queue[i].join = nil
		}
	}
	o.pending.dropQueue(werr)
	o.releaseOut()
	mine := o.c.closeErr == nil && o.c.inbox.read.tryAcquire()
	o.c.mu.Unlock()
	if mine {
		ctx, cancel := context.WithTimeout(context.Background(), o.c.opts.closeTimeout)
		defer cancel()
		o.c.inbox.readFrames(ctx, time.Time{}, never)
		o.c.inbox.releaseRead()
	}
	if err := o.c.ended(); err != nil {
		return err
	}
	return werr
}

// interruptedClose returns the CloseError of a connection whose write was interrupted. If a close frame was made or has arrived, the
// CloseError is that of the closing handshake, with the cause werr.
func (o *outbox) interruptedClose(werr error) *CloseError {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	if o.c.closing == nil {
		return &CloseError{Code: CodeAbnormal, Err: werr}
	}
	return o.c.closing.withCause(werr)
}
