package websocket

import (
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// controlTick is the resolution of the one-second interval in which control frames are counted.
const controlTick = 16 * time.Millisecond

// controlRateExceeded counts a control frame from the peer, and reports whether the peer has exceeded the limit for one second.
func (c *eventInbox) controlRateExceeded() bool {
	if c.controls++; c.controls <= protocol.MaxControls {
		return false
	}
	now := uint32(c.outbox.link.fd.Now()/controlTick) + 1 // not 0, which means never
	if c.second != 0 && now-c.second < uint32(time.Second/controlTick) {
		return true
	}
	c.second, c.controls = now, 1
	return false
}

// keepAlive replaces the timeout of the handshake with the time of keepalive's first check. The caller holds the lock.
func (c *eventConn) keepAlive() {
	if every := c.inbox.outbox.link.kind.opts.pingInterval; every > 0 {
		c.inbox.outbox.link.fd.After(every / 2)
	} else {
		c.inbox.outbox.link.fd.Cancel()
	}
}

// timerExpired does the work that is due when the connection's timer expires. The caller is the holder.
func (c *eventConn) timerExpired() {
	if c.inbox.stage == stageRequest && c.inbox.msg != nil {
		c.requestTimedOut()
		return
	}
	c.inbox.outbox.link.fd.Lock()
	defer c.inbox.outbox.link.fd.Unlock()
	if c.inbox.outbox.phase != phaseOpen || c.inbox.outbox.link.end != nil && c.inbox.outbox.link.end.werr != nil {
		c.timedOut()
		return
	}
	every := c.inbox.outbox.link.kind.opts.pingInterval
	if every <= 0 {
		return // this was the timer of the handshake, which is complete
	}
	accepting := c.peerAccepting()
	received := c.inbox.received
	c.inbox.received = false
	ping, dead := c.inbox.outbox.link.peer.check(received, accepting)
	switch {
	case dead:
		c.inbox.outbox.link.fail(c.inbox.outbox.link.peer.silentError(every))
		return
	case ping:
		out := c.inbox.outbox.reserve(0)
		if b, err := c.inbox.outbox.link.m.AppendPing(out.b, nil, nil); err == nil {
			out.set(b)
		}
	}
	c.inbox.outbox.link.fd.After(every / 2)
}

// peerAccepting reports whether, since the last check, the peer has accepted some of the data in the kernel's buffer. The caller holds the
// lock.
func (c *eventConn) peerAccepting() bool {
	n := c.inbox.outbox.link.fd.Unsent()
	if n <= 0 && (c.inbox.outbox.link.more == nil || c.inbox.outbox.link.more.unsent == 0) {
		return false
	}
	e := c.inbox.outbox.link.ensureMore()
	before := e.unsent
	e.unsent = max(n, 0)
	if n <= 0 || n >= before {
		return false
	}
	c.inbox.outbox.link.peer.slow = true
	return true
}
