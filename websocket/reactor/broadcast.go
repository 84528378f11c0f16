package reactor

import (
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/prepared"
)

// SendPrepared sends messages that are shared by many connections, or queues what the kernel does not take at once; it never
// waits. What Write says of errors and of when it leaves holds here, too, with one exception: where nothing is queued and
// no other message is being handled that might add to it, all of ps are with the kernel when SendPrepared returns, in one system
// call and a single one without a copy. So pass the messages that belong together in one call.
func (c *Conn) SendPrepared(ps ...*websocket.Prepared) error {
	if c.zip != nil {
		for _, p := range ps { // not under a lock that others wait for
			if f := (*prepared.Frames)(p); len(f.Payload()) >= c.zip.threshold {
				f.Compressed(c.zip.out.Window.Bits)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for _, p := range ps {
		if err = c.writable(len((*prepared.Frames)(p).Plain())); err != nil {
			break // those before it still go out
		}
		c.putShared(c.frameFor((*prepared.Frames)(p)), len(ps) == 1)
	}
	if !c.corked && c.out.size() > 0 && c.loop.calm() {
		c.flush()
	}
	if c.stuck || !c.corked && c.out.size() > 0 {
		c.sent()
	}
	c.tidy()
	return err
}

// frameFor picks the frame that this connection gets. The caller holds mu.
func (c *Conn) frameFor(f *prepared.Frames) []byte {
	if z := c.zip; z != nil && len(f.Payload()) >= z.threshold {
		if b := f.Compressed(z.out.Window.Bits); b[0]&frame.RSV1 != 0 {
			z.out.Forget() // the peer's window moves on by what our compressor does not know of
			return b
		}
	}
	return f.Plain()
}

// putShared sends or queues a frame that is not to be written to. A single one goes to the kernel from where it lies, if
// nothing is to go with it. The caller holds mu.
func (c *Conn) putShared(b []byte, single bool) {
	if c.sec == nil && !c.stuck && (len(b) > together || single && !c.corked && c.out.size() == 0 && c.loop.calm()) {
		c.pushShared(b)
		return
	}
	out := c.room(len(b))
	out.b = append(out.b, b...)
}

// pushShared writes what waits and b, and queues what the kernel does not take of it. The caller holds mu.
func (c *Conn) pushShared(b []byte) {
	var n int
	var err error
	before := c.out.size()
	if before == 0 {
		n, err = c.loop.k.write(int(c.fd), b)
	} else {
		n, err = c.loop.k.writev(int(c.fd), [2][]byte{c.out.rest(), b})
	}
	if err != nil && err != errAgain {
		c.writeFailed(err)
		return
	}
	if before > 0 {
		c.advance(min(n, before))
	}
	if left := b[max(n-before, 0):]; len(left) > 0 || n < before {
		c.stuck = true
		out := c.room(len(left))
		out.b = append(out.b, left...)
		if n >= before {
			c.cut = len(left)
		}
	}
}
