package websocket

import (
	"errors"

	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

// Begin implements [loop.Handler]: from here until the end of the visit, writes are collected.
func (c *eventConn) Begin(d *loop.Driver, why loop.Events) bool {
	if why&(loop.Writable|loop.Hangup) != 0 {
		c.inbox.outbox.blocked = false
	}
	if why&loop.Held != 0 {
		c.inbox.outbox.flush()
		c.inbox.outbox.freeEmpty()
		if c.inbox.outbox.blocked {
			c.inbox.outbox.rearm() // otherwise the hangup would be reported repeatedly
		}
		if why&loop.Due != 0 {
			// Nothing is read during Serve, so keepalive cannot tell whether the peer is alive: it asks again later.
			c.inbox.outbox.link.fd.After(c.inbox.outbox.link.kind.opts.closeTimeout)
		}
		return false
	}
	if c.inbox.outbox.out.size() > 0 && c.inbox.stage != stageAccepted { // messages that Open sends are sent with the 101 response
		c.inbox.outbox.flush()
		c.inbox.outbox.freeEmpty()
	}
	if why == loop.Woken && c.onlyQueuedWrites() {
		c.inbox.outbox.rearm()
		return false
	}
	if c.inbox.outbox.out == nil && !c.inbox.outbox.blocked {
		c.inbox.outbox.out, _ = d.Value.(*buffer)
		d.Value = nil
		if c.inbox.outbox.out == nil {
			c.inbox.outbox.out = borrow(corkSize)
		}
	}
	c.inbox.outbox.corked = true
	return true
}

// onlyQueuedWrites reports whether the only pending work is to write messages that other goroutines have sent. The caller holds the lock, and
// no goroutine is the holder.
func (c *eventConn) onlyQueuedWrites() bool {
	sec := c.inbox.outbox.link.sec()
	return c.inbox.stage == stageOpen && c.inbox.outbox.link.end == nil && c.inbox.outbox.link.stop.Load() == 0 && c.inbox.outbox.link.rest() == nil && (sec == nil || !sec.More()) && !c.inbox.drainDue()
}

// Lost implements [loop.Handler]: the messages that a blocking Receiver has sent so far do not wait until it returns.
func (c *eventConn) Lost() {
	c.inbox.outbox.corked = false
	c.inbox.outbox.flush()
	c.inbox.outbox.rearm()
}

// Serve implements [loop.Handler].
func (c *eventConn) Serve(d *loop.Driver, why loop.Events) {
	c.visit(d, why)
	c.finish(d)
}

// visit does the work of a visit.
func (c *eventConn) visit(d *loop.Driver, why loop.Events) {
	if c.inbox.stage == stageAccepted {
		c.openReceiver()
	}
	if why&loop.Writable != 0 {
		c.inbox.received = true // the peer has read some data
	}
	if why&loop.Due != 0 {
		c.timerExpired()
	}
	if rest := c.inbox.outbox.link.rest(); rest != nil && c.inbox.outbox.link.stop.Load()&stopPaused == 0 {
		c.inbox.outbox.link.more.rest = nil
		c.parse(d, rest.rest())
		rest.free()
	}
	if sec := c.inbox.outbox.link.sec(); why&(loop.Readable|loop.Hangup) != 0 || sec != nil && sec.More() {
		c.receive(d)
	}
	c.drain()
}

// drain notifies the Receiver that the queue, after it was full, is empty again.
func (c *eventConn) drain() {
	d, ok := c.inbox.r.(drainer)
	if !ok {
		return
	}
	c.inbox.outbox.link.fd.Lock()
	if c.inbox.outbox.congested {
		c.inbox.outbox.flush()
	}
	due := c.inbox.drainDue()
	if due {
		c.inbox.outbox.congested = false
	}
	c.inbox.outbox.link.fd.Unlock()
	if due {
		if err := c.inbox.outbox.call(d.Drained); err != nil {
			c.inbox.outbox.closeForError(err)
		}
	}
}

// drainer is a Receiver with a method Drained.
type drainer interface{ Drained() }

// drainDue reports whether Drained must be called. The caller holds the lock, and is the holder or knows that there is none.
func (c *eventInbox) drainDue() bool {
	if !c.outbox.congested || c.outbox.phase != phaseOpen || c.outbox.queued() > 0 {
		return false
	}
	_, ok := c.r.(drainer)
	return ok
}

// openReceiver opens the Receiver of a connection whose handshake is complete.
func (c *eventConn) openReceiver() {
	c.inbox.stage = stageOpen
	if c.inbox.outbox.link.kind.ended != nil { // the hook needs the address after the end, when the kernel may no longer know it
		c.inbox.outbox.link.fd.Lock()
		c.inbox.outbox.link.setRemote(c.inbox.outbox.link.remoteLocked())
		c.inbox.outbox.link.fd.Unlock()
	}
	open := c.inbox.outbox.link.kind.open
	if own, ok := c.inbox.r.(opener); ok {
		c.inbox.r, open = nil, own
	}
	err := c.inbox.outbox.call(func() { c.inbox.r = open(c) })
	if err != nil || c.inbox.outbox.link.stop.Load()&stopNow != 0 { // the client gets its 101 response in any case
		c.inbox.outbox.link.fd.Lock()
		c.inbox.outbox.flush()
		c.inbox.outbox.link.fd.Unlock()
	}
	if err != nil {
		c.inbox.outbox.closeForError(err)
	}
}

// opener stores a connection's own Open in the place of the Receiver that it will return, so that Open is not kept afterwards.
type opener func(Sender) Receiver

// Message is not called.
func (opener) Message(Message) error { return nil }

// Closed is not called.
func (opener) Closed(*CloseError) {}

// finish ends a visit: it sends all queued data in one write, and ends the connection if its end is due.
func (c *eventConn) finish(d *loop.Driver) {
	c.inbox.outbox.link.fd.Lock()
	c.inbox.outbox.corked = false
	c.inbox.outbox.reply()
	if n := c.inbox.outbox.out.size(); n > 0 && n <= corkSize/4 && c.inbox.outbox.phase == phaseOpen && c.inbox.outbox.link.fd.Busy() {
		c.inbox.outbox.deferFlush()
	} else {
		c.inbox.outbox.flush()
	}
	if c.inbox.outbox.out != nil && c.inbox.outbox.out.size() == 0 {
		if d.Value == nil && cap(c.inbox.outbox.out.b) == corkSize {
			d.Value = c.inbox.outbox.out
		} else {
			c.inbox.outbox.out.free()
		}
		c.inbox.outbox.out = nil
	}
	final, notify := c.finalError()
	if final == nil {
		if c.inbox.drainDue() {
			c.inbox.outbox.link.fd.Wake()
		}
		c.inbox.outbox.rearm()
		c.inbox.outbox.link.fd.Unlock()
		return
	}
	final = c.closeFD(final)
	c.inbox.outbox.link.fd.Unlock()
	defer c.uncount(notify) // deferred, because the application may call runtime.Goexit
	if notify {
		c.callClosed(final)
	}
}

// uncount removes an ended connection from the counts.
func (c *eventConn) uncount(opened bool) {
	if opened && c.inbox.outbox.link.kind.opening != nil {
		c.inbox.outbox.link.kind.opening.roster.exit()
	}
	if c.inbox.outbox.link.kind.onClosed != nil {
		c.inbox.outbox.link.kind.onClosed()
	}
}

// errExited means that a call of the application has not returned.
var errExited = errors.New("runtime.Goexit was called")

// call calls a function of the application.
func (c *eventOutbox) call(f func()) (err error) {
	err = errExited
	defer c.recoverCall(&err)
	f()
	return nil
}

// recoverCall converts a panic in the application's code to an error, with which its caller ends the connection. After runtime.Goexit,
// when *err is errExited, the caller will not see the error, so recoverCall ends the connection itself.
func (c *eventOutbox) recoverCall(err *error) {
	if v := recover(); v != nil {
		*err = recoveredError(v, c.link.kind.panicked)
	} else if *err == errExited {
		c.closeForError(*err)
	}
}

// callClosed reports the end of the connection. A panic in Closed has no connection left to end, and becomes the cause in the CloseError
// unless there is one already.
func (c *eventConn) callClosed(final *CloseError) {
	if c.inbox.outbox.link.kind.ended != nil {
		defer func() { c.inbox.outbox.link.kind.ended(func() string { return c.RemoteAddr().String() }, final) }()
	}
	if c.inbox.r != nil {
		if err := c.inbox.outbox.call(func() { c.inbox.r.Closed(final) }); err != nil && !isAbort(err) {
			final = final.withCause(err)
		}
	}
}

// closeForError closes the connection after an error of the application.
func (c *eventOutbox) closeForError(err error) {
	if isAbort(err) {
		c.CloseNow() //nolint:errcheck // CloseNow always returns nil
		return
	}
	code, reason, cause := closeFor(err)
	c.link.fd.Lock()
	defer c.link.fd.Unlock()
	if c.phase != phaseOpen {
		return
	}
	if c.shut(code, reason) != nil { // the code must not be sent
		c.shut(CodeInternalError, "") //nolint:errcheck // shut fails only for an invalid code
	}
	c.link.end.cause = cause
}

// deferFlush postpones sending to the end of the batch: the Receivers of other connections may still send to this connection until
// then. The data is moved to a smaller buffer, so that the large buffer of a visit is not kept for that long. The caller holds the
// lock.
func (c *eventOutbox) deferFlush() {
	if cap(c.out.b) == corkSize {
		f := borrow(c.out.size())
		f.b = append(f.b, c.out.rest()...)
		f.partialFrame = c.out.partialFrame
		c.out.free()
		c.out = f
	}
	c.link.fd.Wake()
}

// reply queues the frames that the protocol requires. The caller is the holder, and holds the lock.
func (c *eventOutbox) reply() {
	if !c.link.m.Pending() {
		return
	}
	out := c.reserve(0)
	out.set(c.link.m.AppendOutput(out.b, len(out.b)+protocol.PongRoom, nil))
}

// rearm sets the events to wait for. The caller holds the lock.
func (c *eventOutbox) rearm() {
	var want loop.Events
	if c.blocked {
		want |= loop.Writable
	}
	switch {
	case c.phase == phaseLeaving, c.phase == phaseOpen && c.link.stop.Load()&stopPaused != 0:
	default:
		want |= loop.Readable
	}
	if err := c.link.fd.Arm(want); err != nil {
		c.link.fail(&CloseError{Code: CodeAbnormal, Err: err})
		c.link.fd.Wake()
	}
}
