package websocket

import (
	"errors"
	"fmt"
	"os"

	"github.com/handfast/handfast/websocket/protocol"
)

// Shut implements [Sender]. The Receiver gets no more messages; its Closed is called when the peer has replied, or CloseTimeout has
// passed.
func (c *eventOutbox) Shut(code Code, reason string) error {
	c.link.fd.Lock()
	defer c.link.fd.Unlock()
	switch c.phase {
	case phaseOpening:
		c.link.fail(&CloseError{Code: CodeAbnormal, Err: errClosedNow})
		c.link.fd.Wake()
	case phaseOpen:
		return c.shut(code, reason)
	}
	return nil
}

// shut queues our close frame. The caller holds the lock.
func (c *eventOutbox) shut(code Code, reason string) error {
	out := c.reserve(0)
	b, err := c.link.m.AppendClose(out.b, uint16(code), reason, nil)
	if err != nil {
		return errCloseCode(code, err)
	}
	out.set(b)
	c.link.ensureEnding().begun = &CloseError{Code: code, Reason: reason}
	c.setPhase(phaseClosing)
	c.scheduleFlush()
	return nil
}

// CloseNow implements [Sender]. The Receiver's Closed is called soon after.
func (c *eventOutbox) CloseNow() error {
	c.link.fd.Lock()
	defer c.link.fd.Unlock()
	if c.phase != phaseDead {
		c.link.fail(&CloseError{Code: CodeAbnormal, Err: errClosedNow})
		c.link.fd.Wake()
	}
	return nil
}

// setPhase changes the phase, and sets CloseTimeout as the time limit of the new phase. The caller holds the lock.
func (c *eventOutbox) setPhase(p phase) {
	c.phase = p
	c.link.stop.Or(stopEnding)
	c.link.unpause() // the peer's close frame must be read
	c.link.fd.After(c.link.kind.opts.closeTimeout)
}

// ensureEnding returns c's state for the end of the connection, which it allocates if necessary. The caller holds the lock.
func (c *eventLink) ensureEnding() *ending {
	if c.end == nil {
		c.end = &ending{remote: c.remoteLocked()} // while the kernel still knows the address
	}
	return c.end
}

// fail makes c end with e at its holder's next visit; an earlier reason takes precedence. The caller holds the lock.
func (c *eventLink) fail(e *CloseError) {
	if end := c.ensureEnding(); end.due == nil {
		end.due = e
	}
	c.stop.Or(stopNow | stopEnding)
}

// peerClosed completes the closing handshake after the peer's close frame has arrived: the connection ends when the reply has been
// sent (RFC 6455 §7.1.1: the server closes the TCP connection first).
func (c *eventInbox) peerClosed(ev *protocol.Event) {
	c.outbox.link.fd.Lock()
	defer c.outbox.link.fd.Unlock()
	e := c.outbox.link.ensureEnding()
	if e.begun == nil { // §7.1.5, §7.1.6: the first close frame counts; if that was ours, the peer's is the reply
		e.begun = &CloseError{Code: Code(ev.Code), Reason: string(ev.Payload), ByPeer: true}
	}
	c.outbox.setPhase(phaseLeaving)
}

// violated sends the peer a close frame for the rule that it broke (RFC 6455 §7.1.7). Later bytes are read and discarded: closing a
// socket with unread bytes would reset the connection, and could destroy data in transit to the peer.
func (c *eventInbox) violated(err error) {
	c.outbox.link.fd.Lock()
	defer c.outbox.link.fd.Unlock()
	var v *protocol.Violation
	if !errors.As(err, &v) {
		c.outbox.link.fail(&CloseError{Code: CodeAbnormal, Err: err})
		return
	}
	c.outbox.link.ensureEnding().begun = violation(v)
	c.outbox.setPhase(phaseLingering)
}

// readFailed ends the connection after a failed read, and records the cause.
func (c *eventInbox) readFailed(err error) {
	c.outbox.link.fd.Lock()
	defer c.outbox.link.fd.Unlock()
	end := c.outbox.link.ensureEnding()
	if end.closedWrite {
		c.outbox.link.fail(end.begun)
		return
	}
	c.outbox.link.fail(readFailure(end.begun, end.werr, c.outbox.link.m.Within(), err))
}

// timedOut ends a connection whose time limit has passed. The caller is the holder, and holds the lock.
func (c *eventConn) timedOut() {
	end := c.inbox.outbox.link.ensureEnding()
	e := &CloseError{Code: CodeAbnormal, ByPeer: true}
	switch {
	case end.closedWrite:
		e = end.begun
	case end.begun != nil:
		e = end.begun.incomplete(end.werr, c.inbox.outbox.queued() > 0, c.inbox.outbox.link.kind.opts.closeTimeout)
	case end.werr != nil:
		e.Err = end.werr
	default:
		e.Err = fmt.Errorf("no opening handshake within %v: %w", c.inbox.outbox.link.kind.opening.headTimeout, os.ErrDeadlineExceeded)
	}
	c.inbox.outbox.link.fail(e)
}

// finalError returns the CloseError with which the connection ends now, or nil if it does not end yet. notify reports whether the
// application must be notified. The caller is the holder, and holds the lock.
func (c *eventConn) finalError() (final *CloseError, notify bool) {
	e := c.inbox.outbox.link.end
	if e == nil {
		return nil, false
	}
	ending := c.inbox.outbox.phase == phaseLingering || c.inbox.outbox.phase == phaseLeaving
	switch {
	case e.due != nil:
		final = e.due
	case ending && e.werr != nil:
		if final = e.begun; !e.closedWrite { // if e.closedWrite is set, the write failed after our close frame had been sent
			final = final.withCause(e.werr)
		}
	case ending && c.inbox.outbox.queued() == 0 && !e.closedWrite:
		// Closing a socket with unread bytes resets the connection, which could destroy the sent data. So the server waits until
		// the peer has closed its direction, or until a time limit has passed.
		e.closedWrite = true
		if sec := c.inbox.outbox.link.sec(); sec != nil {
			c.inbox.outbox.closeTLS(sec)
		}
		c.inbox.outbox.link.fd.CloseWrite()
		if c.inbox.outbox.phase == phaseLeaving {
			c.inbox.outbox.phase = phaseLingering
			c.inbox.outbox.link.fd.After(afterClose)
		}
	}
	return final, final != nil && c.inbox.stage == stageOpen
}

// closeFD closes the descriptor, and returns the connection's CloseError. The caller is the holder, and holds the lock.
func (c *eventConn) closeFD(final *CloseError) *CloseError {
	sec := c.inbox.outbox.link.sec()
	if sec != nil && final.Err == nil {
		c.inbox.outbox.closeTLS(sec)
	}
	c.inbox.outbox.phase = phaseDead
	c.inbox.outbox.link.stop.Or(stopNow | stopEnding)
	end := c.inbox.outbox.link.ensureEnding()
	final = final.withCause(end.cause)
	end.final = final
	c.inbox.outbox.link.fd.Close()
	c.inbox.outbox.out.free()
	c.inbox.msg.free()
	c.inbox.outbox.out, c.inbox.msg = nil, nil
	if c.inbox.outbox.link.more != nil {
		c.inbox.outbox.link.more.rest.free()
		c.inbox.outbox.link.more.rest = nil
	}
	if sec != nil {
		sec.Drop()
	}
	return final
}
