package reactor

import (
	"fmt"
	"runtime/debug"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// begin makes d the holder for a visit: what is written from here on gathers until its end. It returns what there is to do,
// 0 for nothing: then the connection is dead, or another, who has lost the loop, still holds it.
func (c *Conn) begin(d *driver, what chore) chore {
	c.mu.Lock()
	defer c.mu.Unlock()
	if what&asked != 0 {
		c.asked = false
		if c.armed == 0 {
			what |= chore(readable) // it is new, and may have sent something
		}
	}
	if c.phase == dead {
		return 0
	}
	if what&chore(writable|hangup) != 0 {
		c.stuck = false
	}
	if c.held {
		c.flush()
		c.tidy()
		if c.stuck {
			c.rearm() // otherwise a hangup would be told again and again
		}
		if what&due != 0 {
			c.loop.after(c, c.loop.s.closeTimeout) // nothing can be said of a peer that is not read from
		}
		return 0
	}
	if c.out.size() > 0 {
		c.flush()
		c.tidy()
	}
	if what == asked && c.waits() {
		c.rearm()
		return 0
	}
	d.engage(c)
	if c.out == nil && !c.stuck {
		c.out, d.cork = d.cork, nil
		if c.out == nil {
			c.out = borrow(corkSize)
		}
	}
	c.corked = true
	return what
}

// waits reports that nothing is to be done for a connection but to write what others wrote to it. The caller holds mu, and
// nobody else is the holder.
func (c *Conn) waits() bool {
	return c.stage == told && c.end == nil && c.stop.Load() == 0 && c.rest == nil && (c.sec == nil || !c.sec.more)
}

// serve does for a connection what there is to do, and ends the visit. A panic in the application's code costs this
// connection.
func (c *Conn) serve(d *driver, what chore) {
	if err := c.attend(d, what); err != nil {
		c.panicked(err)
	}
	c.finish(d)
}

// attend is serve up to the end of the visit.
func (c *Conn) attend(d *driver, what chore) (err error) {
	defer recovered(&err)
	if c.stage == untold {
		c.opened()
	}
	if what&chore(writable) != 0 {
		c.heard = true // the peer has read something
	}
	if what&due != 0 {
		c.look()
	}
	if c.rest != nil && c.stop.Load()&stopPaused == 0 {
		rest := c.rest
		c.rest = nil
		c.parse(d, rest.rest())
		rest.free()
	}
	if what&chore(readable|hangup) != 0 || c.sec != nil && c.sec.more {
		c.receive(d)
	}
	return nil
}

// recovered makes an error of a panic.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v\n\n%s", v, debug.Stack())
	}
}

// panicked ends a connection whose application has panicked. The caller is the holder.
func (c *Conn) panicked(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open { // in Check: as net/http, without an answer
		c.fail(&websocket.CloseError{Code: websocket.CodeAbnormal, Err: err})
		return
	}
	c.shut(websocket.CodeInternalError, "") //nolint:errcheck // the code is a valid one
	c.end.begun.Err = err
	c.become(lingering)
}

// opened tells the handler of a connection whose handshake is done.
func (c *Conn) opened() {
	c.stage = told
	if f := c.loop.s.Handler.Open; f != nil {
		f(c)
	}
}

// finish ends a visit: what the peer is to get leaves in one write, and if this was all, the connection dies.
func (c *Conn) finish(d *driver) {
	c.mu.Lock()
	c.corked = false
	c.reply()
	if n := c.out.size(); n > 0 && n <= corkSize/4 && c.phase == open && (c.asked || c.loop.asks.Load()) {
		c.defers()
	} else {
		c.flush()
	}
	if c.out != nil && c.out.size() == 0 {
		if d.cork == nil && cap(c.out.b) == corkSize {
			d.cork = c.out
		} else {
			c.out.free()
		}
		c.out = nil
	}
	over, tell := c.verdict()
	if over == nil {
		c.rearm()
		c.mu.Unlock()
		return
	}
	c.die(over)
	c.mu.Unlock()
	if tell {
		c.closed(over)
	}
	c.loop.remove(c)
	c.loop.s.left(c.loop)
}

// closed tells the handler how the connection ended. There is no connection left that a panic could cost.
func (c *Conn) closed(over *websocket.CloseError) {
	if f := c.loop.s.Handler.Close; f != nil {
		var err error
		defer recovered(&err)
		f(c, over)
	}
}

// defers leaves what is to be sent for the end of the batch: its handlers write to others, and may yet write to this one.
// The buffer that a visit lends is worth too much to wait with it. The caller holds mu.
func (c *Conn) defers() {
	if cap(c.out.b) == corkSize {
		f := borrow(c.out.size())
		f.b = append(f.b, c.out.rest()...)
		c.out.free()
		c.out = f
	}
	c.loop.ask(c)
}

// reply queues what the protocol wants said. The caller is the holder, and holds mu.
func (c *Conn) reply() {
	if !c.m.Pending() {
		return
	}
	out := c.room(0)
	out.set(c.m.AppendOutput(out.b, len(out.b)+protocol.PongRoom, nil))
}

// rearm tells the kernel what to wait for. The caller holds mu.
func (c *Conn) rearm() {
	var want readiness
	if c.stuck {
		want |= writable
	}
	switch {
	case c.held:
		want |= once // a hangup comes unasked, and would come again and again
	case c.phase == leaving, c.phase == open && c.stop.Load()&stopPaused != 0:
	default:
		want |= readable
	}
	if want|known == c.armed && !c.held {
		return
	}
	first := c.armed == 0
	c.armed = want | known
	if err := c.loop.k.arm(int(c.fd), c.token(), want, first); err != nil {
		c.fail(&websocket.CloseError{Code: websocket.CodeAbnormal, Err: err})
		c.loop.ask(c)
	}
}

// known is in Conn.armed when the kernel has heard of the descriptor.
const known readiness = 1 << 7
