package reactor

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// Shut begins the closing handshake (RFC 6455 §7.1.2): it sends a close frame behind all that was written before. The
// handler gets no more messages; its Shut is called when the peer has answered, or CloseTimeout has passed.
//
// [websocket.CodeNoStatus] sends a close frame without a code. A code that may not be on the wire is an error and sends
// nothing. Of a connection that is closing already, or has ended, Shut returns nil.
func (c *Conn) Shut(code websocket.Code, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase > open {
		return nil
	}
	if c.phase == opening {
		c.fail(errClosedNow)
		c.loop.ask(c)
		return nil
	}
	return c.shut(code, reason)
}

// shut queues our close frame. The caller holds mu.
func (c *Conn) shut(code websocket.Code, reason string) error {
	out := c.room(0)
	b, err := c.m.AppendClose(out.b, uint16(code), reason, nil)
	if err != nil {
		return fmt.Errorf("websocket: close code %d: %w (RFC 6455 §7.4)", code, err)
	}
	out.set(b)
	c.ends().begun = &websocket.CloseError{Code: code, Reason: reason}
	c.become(closing)
	c.sent()
	return nil
}

// CloseNow ends the connection without a closing handshake: the peer sees it break off. The handler's Close is called
// soon after.
func (c *Conn) CloseNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != dead {
		c.fail(errClosedNow)
		c.loop.ask(c)
	}
}

var errClosedNow = &websocket.CloseError{
	Code: websocket.CodeAbnormal, Err: errors.New("CloseNow was called"),
}

// become goes on to a later phase, which has CloseTimeout to come to its end. The caller holds mu.
func (c *Conn) become(p phase) {
	c.phase = p
	c.stop.Or(stopEnding)
	c.unpause() // the peer's close frame is waited for
	c.loop.after(c, c.loop.s.closeTimeout)
}

// ends returns what c needs when it ends. The caller holds mu.
func (c *Conn) ends() *ending {
	if c.end == nil {
		c.end = new(ending)
	}
	return c.end
}

// fail has c end with e as soon as its holder sees it; a reason that is there already stays. The caller holds mu.
func (c *Conn) fail(e *websocket.CloseError) {
	if end := c.ends(); end.now == nil {
		end.now = e
	}
	c.stop.Or(stopNow | stopEnding)
}

// failed is fail for the holder, who holds no lock.
func (c *Conn) failed(e *websocket.CloseError) {
	c.mu.Lock()
	c.fail(e)
	c.mu.Unlock()
}

// peerClosed completes the closing handshake when the peer's close frame has come: when the answer is sent, that is the
// end (RFC 6455 §7.1.1: the server closes the TCP connection first).
func (c *Conn) peerClosed(ev *protocol.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.ends()
	if e.begun == nil { // §7.1.5, §7.1.6: what began it counts; if that was ours, this is the answer
		e.begun = &websocket.CloseError{Code: websocket.Code(ev.Code), Reason: string(ev.Payload), ByPeer: true}
	}
	c.become(leaving)
}

// violated has the peer told which rule it broke (RFC 6455 §7.1.7). What it still sends is thrown away: closing a socket
// with bytes unread would reset it, and could destroy what it is told on its way.
func (c *Conn) violated(err error) {
	var v *protocol.Violation
	if !errors.As(err, &v) {
		c.failed(&websocket.CloseError{Code: websocket.CodeAbnormal, Err: err})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends().begun = &websocket.CloseError{
		Code: websocket.Code(v.Code), ByPeer: true,
		Err: &websocket.ProtocolError{Section: v.Section, Code: websocket.Code(v.Code), Detail: v.Detail},
	}
	c.become(lingering)
}

// broke ends the connection after a read that failed, and says what happened last.
func (c *Conn) broke(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.ends()
	e := &websocket.CloseError{Code: websocket.CodeAbnormal, ByPeer: true}
	switch {
	case c.phase == lingering || c.phase == leaving:
		e = end.begun
	case end.begun != nil:
		e = &websocket.CloseError{Code: end.begun.Code, Reason: end.begun.Reason}
		e.Err = &protocol.Broken{Closing: true, Err: err}
	case end.werr != nil:
		e.Err = end.werr
	default:
		e.Err = &protocol.Broken{Where: c.m.Within(), Err: err}
	}
	c.fail(e)
}

// tooLate ends a connection whose time is over.
func (c *Conn) tooLate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.ends()
	e := &websocket.CloseError{Code: websocket.CodeAbnormal, ByPeer: true}
	switch {
	case c.phase == lingering || c.phase == leaving:
		e = end.begun
	case c.phase == closing:
		e.Code, e.Reason, e.ByPeer = end.begun.Code, end.begun.Reason, false
		e.Err = fmt.Errorf("the peer did not answer the close frame within %v", c.loop.s.closeTimeout)
	case end.werr != nil:
		e.Err = end.werr
	default:
		e.Err = fmt.Errorf("no opening handshake within %v: %w", c.loop.s.handshakeTimeout, os.ErrDeadlineExceeded)
	}
	c.fail(e)
}

// verdict returns how the connection ends, if it does now, and whether the application is told. The caller is the holder,
// and holds mu.
func (c *Conn) verdict() (over *websocket.CloseError, tell bool) {
	e := c.end
	if e == nil {
		return nil, false
	}
	sent := c.queued() == 0
	switch {
	case e.now != nil:
		over = e.now
	case c.phase == leaving && sent:
		over = e.begun
	case c.phase == lingering && e.werr != nil:
		over = e.begun
	case c.phase == lingering && sent && !e.half:
		e.half = true
		if c.sec != nil {
			c.sec.closeWrite(c)
		}
		c.loop.k.closeWrite(int(c.fd))
	}
	return over, over != nil && c.stage == told
}

// discard throws away what has come behind the peer's close frame, up to a bound: a socket that is closed with bytes unread
// is reset, which can destroy what was sent last. The caller is the holder, and holds mu.
func (c *Conn) discard() {
	f := borrow(readSize)
	defer f.free()
	for range 4 {
		if n, err := c.loop.k.read(int(c.fd), f.b[:cap(f.b)]); err != nil || n < cap(f.b) {
			return
		}
	}
}

// die closes the descriptor. The caller is the holder, and holds mu.
func (c *Conn) die(over *websocket.CloseError) {
	if c.sec != nil && over.Err == nil {
		c.sec.closeWrite(c)
	}
	if c.phase == leaving {
		c.discard()
	}
	c.phase = dead
	c.stop.Or(stopNow | stopEnding)
	c.ends().over = over
	c.loop.k.close(int(c.fd))
	for _, f := range []**buffer{&c.out, &c.msg, &c.rest} {
		(*f).free()
		*f = nil
	}
	if c.sec != nil {
		c.sec.drop()
	}
}
