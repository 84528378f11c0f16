package websocket

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/handfast/handfast/websocket/internal/transport"
)

// keepalive watches for a peer that is silent: one timer, no goroutine. It looks twice in a PingInterval. A look that
// finds nothing heard since the one before sends a ping: the peer has been silent for half an interval at least and a
// whole one at most. The third in a row gives up: more than one and at most two intervals have gone by, one of them
// since the ping.
type keepalive struct {
	timer *time.Timer
	quiet int // looks in a row that found nothing heard
}

const (
	quietPing = 1
	quietEnd  = 3
)

func (k *keepalive) stop() {
	if k.timer != nil {
		k.timer.Stop()
	}
}

func (c *Conn) startKeepalive() {
	if c.opts.pingInterval > 0 {
		c.mu.Lock()
		c.alive.timer = time.AfterFunc(c.opts.pingInterval/2, c.look)
		c.mu.Unlock()
	}
}

// look is what the timer runs.
func (c *Conn) look() {
	c.hearUnread()
	c.mu.Lock()
	if c.closeErr != nil {
		c.mu.Unlock()
		return
	}
	// A peer that is busy taking a large message cannot answer the ping that waits behind it.
	takes := c.moved.Swap(false) && c.out.held && len(c.ctl) > 0
	if c.heard.Swap(false) || takes {
		c.alive.quiet = 0
	} else {
		c.alive.quiet++
	}
	switch c.alive.quiet {
	case quietPing:
		if c.canWrite() == nil {
			c.pings.waiting = slices.DeleteFunc(c.pings.waiting, func(p *pinged) bool { return p.own })
			c.pingLocked().own = true
		}
	case quietEnd:
		c.mu.Unlock()
		c.end(&CloseError{Code: CodeAbnormal, ByPeer: true, Err: fmt.Errorf(
			"the peer was silent for %v or more, ping unanswered: %w", 3*c.opts.pingInterval/2, os.ErrDeadlineExceeded)})
		return
	}
	c.alive.timer.Reset(c.opts.pingInterval / 2)
	c.mu.Unlock()
}

// hearUnread hears what has arrived while nobody reads: a pong as well as a message, which stays for the next Read. As
// long as more lies unread than a read buffer takes, nothing more is heard, and nothing can be said of the peer.
func (c *Conn) hearUnread() {
	c.mu.Lock()
	mine := c.closeErr == nil && c.read.take()
	c.mu.Unlock()
	if !mine {
		return // a reader hears for itself
	}
	defer c.giveRead()
	soon := time.Now().Add(time.Millisecond)
	if c.listen(context.Background(), soon, never); c.untaken() {
		c.hearBehind(soon)
	}
}

// hearBehind reads on behind a message that nobody has taken. That the stream has ended is left for the Read that has
// taken the message to find.
func (c *Conn) hearBehind(deadline time.Time) {
	spare := c.room()
	if len(spare) == 0 {
		c.heard.Store(true) // nothing can be said
		return
	}
	if c.readyToRead(context.Background(), deadline) != nil {
		return
	}
	n, _ := c.stream.Read(spare)
	c.win = c.win[:len(c.win)+n]
	if n > 0 {
		c.heard.Store(true)
	}
	c.mu.Lock()
	c.waiting = false
	c.stream.SetReadDeadline(time.Time{})
	c.mu.Unlock()
}

// room returns the space in the read buffer behind what lies unread there. Bytes that lie elsewhere, in the stream or
// where the handshake left them, move to a buffer first.
func (c *Conn) room() []byte {
	if !c.pending {
		c.cur.Payload = nil
	}
	if c.buf == nil {
		if len(c.cur.Payload)+len(c.win) >= transport.BufferSize {
			return nil
		}
		c.buf = transport.Borrow()
		n := copy(c.buf[:], c.cur.Payload)
		m := copy(c.buf[n:], c.win)
		c.cur.Payload, c.win = c.buf[:n:n], c.buf[n:n+m]
	}
	return c.win[len(c.win):cap(c.win)]
}
