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
	c.fd.Lock()
	defer c.fd.Unlock()
	switch c.phase {
	case phaseOpening:
		c.fail(&CloseError{Code: CodeAbnormal, Err: errClosedNow})
		c.fd.Wake()
	case phaseOpen:
		return c.shut(code, reason)
	}
	return nil
}

// shut queues our close frame. The caller holds the lock.
func (c *eventOutbox) shut(code Code, reason string) error {
	out := c.reserve(0)
	b, err := c.m.AppendClose(out.b, uint16(code), reason, nil)
	if err != nil {
		return errCloseCode(code, err)
	}
	out.set(b)
	c.ensureEnding().begun = &CloseError{Code: code, Reason: reason}
	c.setPhase(phaseClosing)
	c.scheduleFlush()
	return nil
}

// CloseNow implements [Sender]. The Receiver's Closed is called soon after.
func (c *eventOutbox) CloseNow() error {
	c.fd.Lock()
	defer c.fd.Unlock()
	if c.phase != phaseDead {
		c.fail(&CloseError{Code: CodeAbnormal, Err: errClosedNow})
		c.fd.Wake()
	}
	return nil
}

// setPhase changes the phase, and sets CloseTimeout as the time limit of the new phase. The caller holds the lock.
func (c *eventOutbox) setPhase(p phase) {
	c.phase = p
	c.stop.Or(stopEnding)
	c.unpause() // the peer's close frame must be read
	c.fd.After(c.kind.opts.closeTimeout)
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
	c.fd.Lock()
	defer c.fd.Unlock()
	e := c.ensureEnding()
	if e.begun == nil { // §7.1.5, §7.1.6: the first close frame counts; if that was ours, the peer's is the reply
		e.begun = &CloseError{Code: Code(ev.Code), Reason: string(ev.Payload), ByPeer: true}
	}
	c.setPhase(phaseLeaving)
}

// violated sends the peer a close frame for the rule that it broke (RFC 6455 §7.1.7). Later bytes are read and discarded: closing a
// socket with unread bytes would reset the connection, and could destroy data in transit to the peer.
func (c *eventInbox) violated(err error) {
	c.fd.Lock()
	defer c.fd.Unlock()
	var v *protocol.Violation
	if !errors.As(err, &v) {
		c.fail(&CloseError{Code: CodeAbnormal, Err: err})
		return
	}
	c.ensureEnding().begun = violation(v)
	c.setPhase(phaseLingering)
}

// readFailed ends the connection after a failed read, and records the cause.
func (c *eventInbox) readFailed(err error) {
	c.fd.Lock()
	defer c.fd.Unlock()
	end := c.ensureEnding()
	if end.closedWrite {
		c.fail(end.begun)
		return
	}
	c.fail(readFailure(end.begun, end.werr, c.m.Within(), err))
}

// timedOut ends a connection whose time limit has passed. The caller is the holder, and holds the lock.
func (c *eventConn) timedOut() {
	end := c.ensureEnding()
	e := &CloseError{Code: CodeAbnormal, ByPeer: true}
	switch {
	case end.closedWrite:
		e = end.begun
	case end.begun != nil:
		e = end.begun.incomplete(end.werr, c.queued() > 0, c.kind.opts.closeTimeout)
	case end.werr != nil:
		e.Err = end.werr
	default:
		e.Err = fmt.Errorf("no opening handshake within %v: %w", c.kind.opening.headTimeout, os.ErrDeadlineExceeded)
	}
	c.fail(e)
}

// finalError returns the CloseError with which the connection ends now, or nil if it does not end yet. notify reports whether the
// application must be notified. The caller is the holder, and holds the lock.
func (c *eventConn) finalError() (final *CloseError, notify bool) {
	e := c.end
	if e == nil {
		return nil, false
	}
	ending := c.phase == phaseLingering || c.phase == phaseLeaving
	switch {
	case e.due != nil:
		final = e.due
	case ending && e.werr != nil:
		if final = e.begun; !e.closedWrite { // if e.closedWrite is set, the write failed after our close frame had been sent
			final = final.withCause(e.werr)
		}
	case ending && c.queued() == 0 && !e.closedWrite:
		// Closing a socket with unread bytes resets the connection, which could destroy the sent data. So the server waits until
		// the peer has closed its direction, or until a time limit has passed.
		e.closedWrite = true
		if sec := c.sec(); sec != nil {
			c.closeTLS(sec)
		}
		c.fd.CloseWrite()
		if c.phase == phaseLeaving {
			c.phase = phaseLingering
			c.fd.After(afterClose)
		}
	}
	return final, final != nil && c.stage == stageOpen
}

// closeFD closes the descriptor, and returns the connection's CloseError. The caller is the holder, and holds the lock.
func (c *eventConn) closeFD(final *CloseError) *CloseError {
	sec := c.sec()
	if sec != nil && final.Err == nil {
		c.closeTLS(sec)
	}
	c.phase = phaseDead
	c.stop.Or(stopNow | stopEnding)
	end := c.ensureEnding()
	final = final.withCause(end.cause)
	end.final = final
	c.fd.Close()
	c.out.free()
	c.msg.free()
	c.out, c.msg = nil, nil
	if c.more != nil {
		c.more.rest.free()
		c.more.rest = nil
	}
	if sec != nil {
		sec.Drop()
	}
	return final
}
