package websocket

import (
	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

// eventInbox assembles messages from the received bytes, and passes them to the Receiver.
//
// The holder owns all fields except those of eventOutbox.
type eventInbox struct {
	outbox eventOutbox

	r        Receiver
	msg      *buffer // the received part of an incomplete message or request; nil if there is none
	second   uint32  // when the first control frame of the current second was counted, see controlRateExceeded
	controls uint16  // the number of control frames in that second
	stage    stage
	received bool // bytes have arrived since the last check of keepalive
}

// maxReads limits the number of reads from one connection before other connections are served.
const maxReads = 16

// receive reads and parses the received bytes.
func (c *eventConn) receive(d *loop.Driver) {
	sec := c.inbox.outbox.link.sec()
	for range maxReads {
		stop := c.inbox.outbox.link.stop.Load()
		if stop&stopNow != 0 || stop&stopPaused != 0 && stop&stopEnding == 0 || c.inbox.outbox.link.m.Ended() && !c.inbox.outbox.discards() {
			return
		}
		if c.inbox.outbox.link.rest() != nil {
			return // rest precedes the bytes on the socket; the next visit, which has been requested, begins with rest
		}
		into := d.Buffer()
		long := false
		if left := c.inbox.outbox.link.m.Left(); c.inbox.msg != nil && left >= minDirectRead {
			into, long = c.inbox.freeSpace(left), true
		}
		n, err := c.inbox.outbox.link.read(into)
		if n > 0 {
			c.inbox.received = true
			if long {
				c.inbox.msg.b = c.inbox.msg.b[:len(c.inbox.msg.b)+n]
				c.inbox.step(d, into[:n], true)
			} else {
				c.parse(d, into[:n])
			}
		}
		if err == loop.ErrAgain {
			return
		}
		if err != nil {
			c.inbox.readFailed(err)
			return
		}
		if n < len(into) && sec == nil {
			return // everything has been read; the kernel reports later bytes
		}
	}
	if sec != nil {
		c.inbox.outbox.link.fd.Lock()
		c.inbox.outbox.link.fd.Wake() // TLS may hold more bytes, which the kernel does not report
		c.inbox.outbox.link.fd.Unlock()
	}
}

// discards reports whether received bytes are discarded.
func (c *eventOutbox) discards() bool {
	c.link.fd.Lock()
	defer c.link.fd.Unlock()
	return c.phase == phaseLingering
}

// freeSpace returns free space after the received part of a message. left is the number of payload bytes that have not arrived.
func (c *eventInbox) freeSpace(left int64) []byte {
	have := len(c.msg.b)
	if cap(c.msg.b) == have {
		if g := fromPool(protocol.Room(have, left, protocol.PooledMemory)); g != nil {
			g.b = append(g.b, c.msg.b...)
			c.msg.free()
			c.msg = g
		} else {
			c.msg = c.msg.grown(max(protocol.Room(have, left, protocol.NewMemory)-have, minDirectRead))
		}
	}
	return c.msg.b[have:min(int64(cap(c.msg.b)), int64(have)+left)]
}

// parse parses received bytes, and delivers the messages in them.
func (c *eventConn) parse(d *loop.Driver, win []byte) {
	for len(win) > 0 {
		switch c.inbox.stage {
		case stageRequest:
			win = c.request(d, win)
			continue
		case stageRefused:
			return
		}
		if stop := c.inbox.outbox.link.stop.Load(); stop != 0 {
			if stop&stopNow != 0 || c.inbox.outbox.link.m.Ended() {
				return
			}
			if stop&stopPaused != 0 && stop&stopEnding == 0 {
				rest := borrow(len(win))
				rest.b = append(rest.b, win...)
				c.inbox.outbox.link.fd.Lock()
				c.inbox.outbox.link.ensureMore().rest = rest
				c.inbox.outbox.link.fd.Unlock()
				return
			}
		}
		n := c.inbox.step(d, win, false)
		win = win[n:]
	}
}

// step passes bytes to the protocol machine, and returns how many it used. placed means that the bytes are already in c.msg.
func (c *eventInbox) step(d *loop.Driver, win []byte, placed bool) int {
	if p, text, n := c.outbox.link.m.Whole(win); n > 0 { // most messages arrive whole
		d.Last(n == len(win))
		if len(p) > alwaysCopied {
			c.outbox.lastReceived.Store(n == len(win))
		}
		c.deliver(text, p)
		return n
	}
	ev, n, err := c.outbox.link.m.Step(win)
	if err == nil && ev.Kind == protocol.Data {
		d.Last(n == len(win))
		if ev.First && ev.Last && !ev.Compressed { // a whole message, without a copy
			if len(ev.Payload) > alwaysCopied {
				c.outbox.lastReceived.Store(n == len(win))
			}
			c.deliver(ev.Text, ev.Payload)
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

// control handles control frames.
func (c *eventInbox) control(ev *protocol.Event, err error) {
	if err == nil && ev.Kind != protocol.Close && c.controlRateExceeded() {
		err = c.outbox.link.m.TooManyControls()
	}
	switch {
	case err != nil:
		c.violated(err)
	case ev.Kind == protocol.Close:
		c.peerClosed(ev)
	case ev.Kind == protocol.Ping:
		c.outbox.link.fd.Lock()
		c.outbox.reply() // answers the ping before later bytes are parsed
		c.outbox.link.fd.Unlock()
	}
}

// piece handles a fragment of a message, or a piece of a compressed message.
func (c *eventInbox) piece(ev *protocol.Event, placed bool) {
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
		c.deliver(ev.Text, whole.b)
	}
	whole.free()
}

// gather keeps a piece of a message until the rest has arrived.
func (c *eventInbox) gather(p []byte) {
	want := protocol.Room(len(p), c.outbox.link.m.Left(), protocol.NewMemory)
	if c.msg == nil {
		if c.msg = fromPool(protocol.Room(len(p), c.outbox.link.m.Left(), protocol.PooledMemory)); c.msg == nil {
			c.msg = borrow(want)
		}
	} else {
		c.msg = c.msg.grown(want)
	}
	c.msg.b = append(c.msg.b, p...)
}

// deliver passes a message to the Receiver, whose error closes the connection.
func (c *eventInbox) deliver(text bool, p []byte) {
	if c.r == nil || c.outbox.link.stop.Load()&stopEnding != 0 {
		return
	}
	m := Message{Type: Binary, Data: p}
	if text {
		m.Type = Text
	}
	if err := c.message(m); err != nil {
		c.outbox.closeForError(err)
	}
}

// message calls the Receiver.
func (c *eventInbox) message(m Message) (err error) {
	err = errExited
	defer c.outbox.recoverCall(&err)
	return c.r.Message(m)
}
