package websocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// A Conn is a Sender.
var _ Sender = (*Conn)(nil)

var errQueueBlocks = errors.New("ConnOptions.QueueFull is QueueBlock, which makes a Sender wait for the peer: Run does not allow it")

var errHalfClose = errors.New("ConnOptions.HalfClose is for callers of the reading methods: Run does not allow it")

// Run serves the connection by calling a [Receiver] on the caller's goroutine, and returns the connection's CloseError. open is
// called first, with the connection as a Sender. Run is the connection's only reader.
//
// When ctx is done, the connection is closed with CodeGoingAway. A panic in open or in the Receiver closes the connection with
// CodeInternalError; Err of the CloseError then contains the panic value. A panic with [http.ErrAbortHandler] cuts the connection,
// as CloseNow does. If the write queue has the policy QueueBlock, or HalfClose is set, Run closes the connection with
// CodeInternalError without calling open.
func (c *Conn) Run(ctx context.Context, open func(Sender) Receiver) *CloseError {
	return c.run(ctx, open, nil)
}

// run is Run, and also reports panics to panicked unless that is nil.
func (c *Conn) run(ctx context.Context, open func(Sender) Receiver, panicked func(value any, stack []byte)) *CloseError {
	e := events{c: c, panicked: panicked}
	if e.begin(open) {
		e.serve(ctx)
	}
	return e.end()
}

// events delivers the messages of a connection to its Receiver.
type events struct {
	c        *Conn
	r        Receiver
	drained  func()
	panicked func(value any, stack []byte)
	cause    error // why this end closed the connection
}

// panicError is a panic in the application's code.
type panicError struct{ value any }

// Error returns a single line, since it becomes a part of the text of a CloseError.
func (p *panicError) Error() string {
	return strings.Join(strings.Fields(fmt.Sprintf("panic: %v", p.value)), " ")
}

// recoveredError reports a panic with value v in the application's code, and returns the error that ends the connection. It is called
// by the deferred function that recovered from the panic.
func recoveredError(v any, report func(value any, stack []byte)) error {
	if isAbort(v) {
		return http.ErrAbortHandler
	}
	if report != nil {
		report(v, debug.Stack())
	}
	return &panicError{v}
}

// isAbort reports whether v, which is a panic value or the error made of it, is http.ErrAbortHandler: as in net/http, it cuts the
// connection, and is not reported.
func isAbort(v any) bool { return v == http.ErrAbortHandler } //nolint:errorlint // net/http compares http.ErrAbortHandler with ==, too

// guard calls f, and converts a panic in it to an error.
func (e *events) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = recoveredError(v, e.panicked)
		}
	}()
	return f()
}

func (e *events) open(open func(Sender) Receiver) error {
	return e.guard(func() error {
		e.r = open(e.c)
		if d, ok := e.r.(drainer); ok {
			e.drained = d.Drained
			e.c.mu.Lock()
			e.c.inbox.wantsDrained = true
			e.c.mu.Unlock()
		}
		return nil
	})
}

// begin calls open, and reports whether the connection can be served. Like end, it is not a part of run, because the frame of run is on
// the stack while the connection is idle: Go shrinks a stack only while less than a quarter of it is in use.
func (e *events) begin(open func(Sender) Receiver) bool {
	if e.c.opts.queue.full == QueueBlock {
		e.fail(errQueueBlocks)
		return false
	}
	if e.c.inbox.halfClose {
		e.cause = errHalfClose
		e.c.Close(CodeInternalError, "") //nolint:errcheck // end returns the error. Shut would require the caller to continue reading
		return false
	}
	if err := e.open(open); err != nil {
		e.fail(err)
		return false
	}
	return true
}

// end waits until the connection has ended, and reports that to the Receiver.
func (e *events) end() *CloseError {
	e.c.mu.Lock()
	done := e.c.endedChan()
	e.c.mu.Unlock()
	<-done
	closeErr := e.closeError()
	if e.r != nil {
		if err := e.guard(func() error { e.r.Closed(closeErr); return nil }); err != nil && !isAbort(err) {
			closeErr = closeErr.withCause(err)
		}
	}
	return closeErr
}

// serve delivers messages until the connection has ended or is being closed.
func (e *events) serve(ctx context.Context) {
	c := e.c
	var failed error // an error of the application
	message := func(m Message) error {
		if e.r == nil || c.isClosing() {
			return nil
		}
		failed = e.guard(func() error { return e.r.Message(m) })
		return failed
	}
	for {
		if ctx.Err() != nil {
			c.Close(CodeGoingAway, "") //nolint:errcheck // Run returns how the connection ended
			return
		}
		if e.drained != nil && e.drainDue() {
			if failed = e.guard(func() error { e.drained(); return nil }); failed != nil {
				e.fail(failed)
				return
			}
		}
		err := c.View(ctx, message)
		switch {
		case failed != nil:
			e.fail(failed)
			return
		case c.ended() != nil:
			return
		case err == nil || err == errWoken || ctx.Err() != nil: //nolint:errorlint // errWoken is never wrapped
		default: // another goroutine is reading
			e.fail(err)
			return
		}
	}
}

// fail closes the connection because of err.
func (e *events) fail(err error) {
	if isAbort(err) {
		e.c.CloseNow() //nolint:errcheck // CloseNow always returns nil
		return
	}
	code, reason, cause := closeFor(err)
	began, err := e.c.shut(code, reason)
	if err != nil { // the code must not be sent
		began, _ = e.c.shut(CodeInternalError, "")
	}
	if began {
		e.cause = cause
	}
}

// closeError returns the connection's CloseError, with the cause for which this end closed the connection.
func (e *events) closeError() *CloseError {
	closeErr, _ := errors.AsType[*CloseError](e.c.ended())
	return closeErr.withCause(e.cause)
}

// Shut starts the closing handshake and returns: it is [Conn.Close] without the wait. Accepted messages are sent before the close
// frame; CloseTimeout limits the whole handshake, and the [CloseError] reports its result. With a code that must not be sent, Shut
// returns an error and sends nothing. Shut returns nil if the connection is already closing.
func (c *Conn) Shut(code Code, reason string) error {
	_, err := c.shut(code, reason)
	return err
}

// shut does the work of Shut, and reports whether it began to close the connection.
func (c *Conn) shut(code Code, reason string) (began bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeErr != nil || c.closing != nil {
		return false, nil
	}
	deadline := time.Now().Add(c.opts.closeTimeout)
	e, err := c.beginClose(code, reason, deadline)
	if err != nil {
		return false, err
	}
	if c.inbox.halfClose && c.peerClose == nil {
		go c.awaitEnd(deadline, e) //nolint:errcheck // the application continues to read, and Read returns the error
	} else {
		go c.finishClose(deadline, e) // returns by the deadline
	}
	return true, nil
}

// isClosing reports whether the connection has ended or is about to.
func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != nil || c.closeErr != nil
}

// Buffered returns the number of bytes that Send and SendPrepared have accepted and the kernel has not accepted yet, including
// headers.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outbox.pending.queued - int(c.outbox.pending.sends)*entryCost + len(c.outbox.rest) + c.outbox.inFlight
}

// Subprotocol returns the negotiated subprotocol, or "" for none.
func (c *Conn) Subprotocol() string { return c.hs.Subprotocol }

// RemoteAddr returns the address of the peer, or of the last proxy in front of it. It is never nil: for a stream without
// addresses, its String is "".
func (c *Conn) RemoteAddr() net.Addr {
	if a, ok := c.stream.Below().(interface{ RemoteAddr() net.Addr }); ok {
		if addr := a.RemoteAddr(); addr != nil {
			return addr
		}
	}
	return noAddr{}
}

// remoteOf returns the address of nc's peer. It is never nil, although a connection type of another package may return nil.
func remoteOf(nc net.Conn) net.Addr {
	if a := nc.RemoteAddr(); a != nil {
		return a
	}
	return noAddr{}
}

type noAddr struct{}

func (noAddr) Network() string { return "" }
func (noAddr) String() string  { return "" }

// drainDue reports whether Drained must be called. It returns true only once for each time the queue was full.
func (e *events) drainDue() bool {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	due := e.c.inbox.drainDue
	e.c.inbox.drainDue = false
	return due
}

// releaseOut gives up the out turn. The caller holds mu and the turn.
func (o *outbox) releaseOut() {
	o.out.release()
	if o.congested && len(o.pending.queue) == 0 && !o.moreToWrite() {
		o.congested = false
		if o.c.inbox.wantsDrained {
			o.c.inbox.drainDue = true
			o.c.inbox.wakeReadLocked()
		}
	}
}
