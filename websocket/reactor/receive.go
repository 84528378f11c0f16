package reactor

import (
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

const (
	// maxReads bounds how much of one connection is read before the others get their turn.
	maxReads = 16

	// direct is the least number of payload bytes that are worth a read of their own, past the shared buffer.
	direct = 2 << 10
)

// receive reads what has arrived, and has it parsed.
func (c *Conn) receive(d *driver) {
	if c.sec != nil {
		c.sec.dry, c.sec.more = false, true
	}
	for range maxReads {
		stop := c.stop.Load()
		if stop&stopNow != 0 || stop&stopPaused != 0 && stop&stopEnding == 0 || c.m.Ended() && !c.discards() {
			return
		}
		if c.rest != nil {
			return // these bytes come first; the next visit, which has been asked for, begins with them
		}
		into := d.in.b[:cap(d.in.b)]
		long := false
		if left := c.m.Left(); c.msg != nil && left >= direct {
			into, long = c.spare(left), true
		}
		n, err := c.read(into)
		if n > 0 {
			c.heard = true
			if long {
				c.msg.b = c.msg.b[:len(c.msg.b)+n]
				c.step(d, into[:n], true)
			} else {
				c.parse(d, into[:n])
			}
		}
		if err == errAgain {
			return
		}
		if err != nil {
			c.broke(err)
			return
		}
		if n < len(into) && c.sec == nil {
			return // that was all; what comes from now on, the kernel tells
		}
	}
	if c.sec != nil {
		c.mu.Lock()
		c.loop.ask(c) // TLS may hold more, of which the kernel knows nothing
		c.mu.Unlock()
	}
}

// discards reports that what arrives is thrown away.
func (c *Conn) discards() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == lingering
}

// read reads plain bytes.
func (c *Conn) read(p []byte) (int, error) {
	if c.sec != nil {
		return c.sec.read(p)
	}
	return c.loop.k.read(int(c.fd), p)
}

// spare returns space behind what has arrived of a message, for payload of which left bytes are to come.
func (c *Conn) spare(left int64) []byte {
	have := len(c.msg.b)
	if cap(c.msg.b) == have {
		if g := pooled(protocol.Room(have, left, protocol.PooledMemory)); g != nil {
			g.b = append(g.b, c.msg.b...)
			c.msg.free()
			c.msg = g
		} else {
			c.msg = c.msg.grown(max(protocol.Room(have, left, protocol.NewMemory)-have, direct))
		}
	}
	return c.msg.b[have:min(int64(cap(c.msg.b)), int64(have)+left)]
}

// parse takes bytes that arrived, and hands on the messages that lie in them.
func (c *Conn) parse(d *driver, win []byte) {
	for len(win) > 0 {
		switch c.stage {
		case asking:
			win = c.request(d, win)
			continue
		case refused:
			return
		}
		if stop := c.stop.Load(); stop != 0 {
			if stop&stopNow != 0 || c.m.Ended() {
				return
			}
			if stop&stopPaused != 0 && stop&stopEnding == 0 {
				c.rest = borrow(len(win))
				c.rest.b = append(c.rest.b, win...)
				return
			}
		}
		n := c.step(d, win, false)
		win = win[n:]
	}
}

// step has the machine look at bytes, and returns how many it used. placed says that they lie in c.msg already.
func (c *Conn) step(d *driver, win []byte, placed bool) int {
	if p, text, n := c.m.Whole(win); n > 0 { // most are
		d.calms(n == len(win))
		if len(p) > single {
			c.alone.Store(n == len(win))
		}
		c.tell(text, p)
		return n
	}
	ev, n, err := c.m.Step(win)
	if err == nil && ev.Kind == protocol.Data {
		d.calms(n == len(win))
		if ev.First && ev.Last && !ev.Compressed { // whole, where it lies
			if len(ev.Payload) > single {
				c.alone.Store(n == len(win))
			}
			c.tell(ev.Text, ev.Payload)
		} else {
			c.piece(&ev, placed)
		}
		return n
	}
	if err != nil || ev.Kind != protocol.None {
		c.control(&ev, err)
	}
	return n
}

// control sees to what is not data.
func (c *Conn) control(ev *protocol.Event, err error) {
	if err == nil && ev.Kind != protocol.Close && c.controls.exceeded(c.loop.tick.Load()) {
		err = c.m.TooManyControls()
	}
	switch {
	case err != nil:
		c.violated(err)
	case ev.Kind == protocol.Close:
		c.peerClosed(ev)
	case ev.Kind == protocol.Ping:
		c.mu.Lock()
		c.reply() // before what comes behind it is answered
		c.mu.Unlock()
	}
}

// piece takes a part of a message, or a compressed one.
func (c *Conn) piece(ev *protocol.Event, placed bool) {
	if ev.First && ev.Last {
		c.inflate(ev.Text, ev.Payload)
		return
	}
	if !placed {
		c.gather(ev.Payload)
	}
	if !ev.Last {
		return
	}
	whole := c.msg
	c.msg = nil
	if ev.Compressed {
		c.inflate(ev.Text, whole.b)
	} else {
		c.tell(ev.Text, whole.b)
	}
	whole.free()
}

// gather keeps a piece of a message until the rest of it is here.
func (c *Conn) gather(p []byte) {
	want := protocol.Room(len(p), c.m.Left(), protocol.NewMemory)
	if c.msg == nil {
		if c.msg = pooled(protocol.Room(len(p), c.m.Left(), protocol.PooledMemory)); c.msg == nil {
			c.msg = borrow(want)
		}
	} else {
		c.msg = c.msg.grown(want)
	}
	c.msg.b = append(c.msg.b, p...)
}

// tell hands a message to the handler.
func (c *Conn) tell(text bool, p []byte) {
	if c.stop.Load()&stopEnding != 0 {
		return
	}
	m := websocket.Message{Type: websocket.Binary, Data: p}
	if text {
		m.Type = websocket.Text
	}
	if f := c.loop.s.Handler.Message; f != nil {
		f(c, m)
	}
}
