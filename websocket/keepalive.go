package websocket

import (
	"context"
	"slices"
	"time"

	"github.com/handfast/handfast/websocket/internal/transport"
)

// keepalive detects a silent peer. While no goroutine reads, it also reads the bytes that the peer sends. It uses one timer and no
// goroutine. The Conn's mu guards it.
//
// It checks the peer twice per PingInterval; peerWatch judges the results.
type keepalive struct {
	timer         *time.Timer
	watch         *transport.Watch // on systems that report arrived bytes; nil until it is needed
	next          time.Duration    // the time of the next check, since began; 0 means never
	accepted      int64            // the number of bytes that the peer's kernel, or else ours, had accepted at the last check
	peer          peerWatch
	watched       bool // watch is armed
	readScheduled bool // the timer or watch will read if no other goroutine does
}

// began is the start of keepalive's clock: a Duration since then takes less memory than a time.Time.
var began = time.Now()

const (
	// backlog is the number of bytes in front of a ping that are too few to delay it noticeably.
	backlog = 4 << 10

	// unreadAfter is how long keepalive waits before it reads from a connection that the application does not read: an application
	// that is busy with a message may reply to it before the close frame that follows is handled. After that time, keepalive reads
	// bytes when they arrive or, on systems that do not report their arrival, checks for them every unreadEvery.
	unreadAfter = 800 * time.Millisecond
	unreadEvery = 400 * time.Millisecond
)

func (k *keepalive) stop() {
	if k.timer != nil {
		k.timer.Stop()
	}
	if k.watch != nil {
		k.watch.Stop()
	}
}

// reset sets the timer for the next check, or for the given time if that is earlier. A connection with a scheduled read and without an armed watch
// needs a timer.
func (k *keepalive) reset(soon time.Duration) {
	if soon <= 0 && k.readScheduled && !k.watched {
		soon = unreadAfter
	}
	if k.next != 0 {
		if d := k.next - time.Since(began); soon <= 0 || d < soon {
			soon = max(d, 1)
		}
	}
	if soon > 0 {
		k.timer.Reset(soon)
	}
}

func (c *Conn) startKeepalive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := unreadAfter
	if half := c.opts.pingInterval / 2; half > 0 {
		c.keepalive.next = time.Since(began) + half
		first = min(first, half)
	}
	c.keepalive.readScheduled = true
	c.keepalive.timer = time.AfterFunc(first, c.tick)
}

// tick is called by the timer.
func (c *Conn) tick() {
	c.mu.Lock()
	due := c.keepalive.next != 0 && time.Since(began) >= c.keepalive.next
	c.mu.Unlock()
	again := c.inbox.pollUnread()
	if due && !c.checkPeer() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeErr == nil {
		c.keepalive.reset(again)
	}
}

// pollUnread makes sure that the peer's bytes are read while no goroutine reads. It returns the delay until its next call, or 0 for none.
func (in *inbox) pollUnread() time.Duration {
	in.c.mu.Lock()
	idle := in.c.keepalive.readScheduled && !in.c.keepalive.watched
	in.c.mu.Unlock()
	if !idle || !in.readBackground() {
		return 0
	}
	return in.watchUnread()
}

// watchUnread arms the watch after readBackground, or returns the delay until the next check, or 0 for never.
func (in *inbox) watchUnread() time.Duration {
	in.c.mu.Lock()
	defer in.c.mu.Unlock()
	k := &in.c.keepalive
	switch {
	case k.watched: // another call has armed the watch
		return 0
	case in.read.held || in.c.closeErr != nil:
		k.readScheduled = false // until the current reader gives up the turn
		return 0
	case len(in.unparsed) > 0 && !in.hasUnread(): // bytes left by a Read that has ended since: the watch does not report them
		return unreadAfter
	}
	if k.watch == nil {
		k.watch = in.c.stream.Watch(in.bytesArrived)
	}
	if k.watch != nil && k.watch.Arm() {
		k.watched = true
		return 0
	}
	return unreadEvery
}

// bytesArrived is called by the watch.
func (in *inbox) bytesArrived() {
	in.c.mu.Lock()
	in.c.keepalive.watched = false
	in.c.mu.Unlock()
	if again := in.pollUnread(); again > 0 {
		in.c.mu.Lock()
		defer in.c.mu.Unlock()
		if in.c.closeErr == nil {
			in.c.keepalive.reset(again)
		}
	}
}

// scheduleRead records that no goroutine reads any more. The watch does not report bytes that were read but not parsed, so the timer
// handles those. The caller holds mu.
func (in *inbox) scheduleRead() {
	k, unparsed := &in.c.keepalive, len(in.unparsed) > 0
	if in.c.closeErr != nil || k.readScheduled && !(k.watched && unparsed) {
		return
	}
	k.readScheduled, k.watched = true, k.watched && !unparsed
	k.reset(unreadAfter)
}

// checkPeer checks whether the peer has been silent, and reports whether the connection continues.
func (c *Conn) checkPeer() bool {
	c.inbox.readBackground()
	c.mu.Lock()
	if c.closeErr != nil {
		c.mu.Unlock()
		return false
	}
	k := &c.keepalive
	accepting := c.peerAccepting()
	ping, dead := k.peer.check(c.inbox.received.Swap(false), accepting)
	switch {
	case dead:
		e := k.peer.silentError(c.opts.pingInterval)
		c.mu.Unlock()
		c.end(e)
		return false
	case ping && c.outbox.canWrite() == nil:
		c.pings.pending = slices.DeleteFunc(c.pings.pending, func(p *pendingPing) bool { return p.fromKeepalive })
		c.outbox.pingLocked().fromKeepalive = true
	}
	k.next = time.Since(began) + c.opts.pingInterval/2
	c.mu.Unlock()
	return true
}

// peerAccepting reports whether the peer has accepted data since the last check and more is on its way: the peer cannot answer a ping that
// is behind that data. The caller holds mu.
func (c *Conn) peerAccepting() bool {
	k := &c.keepalive
	accepting := c.outbox.progress.Swap(false) && c.outbox.out.held && len(c.outbox.ctl) > 0
	sent := c.stream.Sent()
	if unsent, ok := c.stream.Unsent(); ok {
		accepted := sent - int64(unsent) // under TLS, accepted is too small by an amount that never shrinks
		accepting = accepting || unsent > 0 && accepted > k.accepted
		k.peer.slow = k.peer.slow || accepting
		k.accepted = accepted
	} else {
		k.peer.slow = k.peer.slow || sent-k.accepted > backlog && !c.outbox.out.held
		k.accepted = sent
	}
	return accepting
}

// readBackground reads and handles the bytes that have arrived while no goroutine reads: a pong, or a message, which is kept for the
// next Read. Once the unread bytes fill a read buffer, readBackground stops reading, and keepalive cannot judge the peer. readBackground
// reports whether more can be read. If not, no read is scheduled until the next reader gives up the turn. The decision is
// made while readBackground holds the turn or has been refused it, so that a Read that ends at the same time comes before or after the
// decision.
func (in *inbox) readBackground() (more bool) {
	k := &in.c.keepalive
	in.c.mu.Lock()
	mine := in.c.closeErr == nil && in.read.tryAcquire()
	k.readScheduled = k.readScheduled && mine
	in.c.mu.Unlock()
	if !mine {
		return false // the current reader handles the bytes
	}
	soon := time.Now().Add(time.Millisecond)
	more = true
	if in.readFrames(context.Background(), soon, never); in.hasUnread() {
		more = in.readAhead(soon)
	}
	in.releaseBuffer()
	in.c.mu.Lock()
	defer in.c.mu.Unlock()
	in.read.release()
	in.wakePing()
	if k.readScheduled = k.readScheduled && more; more {
		in.scheduleRead() // a concurrent readBackground that was refused the turn has cleared readScheduled
	}
	return more
}

// readAhead reads the bytes after an unread message, and reports whether there is room for more. It leaves the end of the stream to
// the Read that takes the message.
func (in *inbox) readAhead(deadline time.Time) (more bool) {
	spare := in.freeSpace()
	if len(spare) == 0 {
		in.received.Store(true) // the peer's pong may be among the bytes for which there is no room
		return false
	}
	if in.readyToRead(context.Background(), deadline) != nil {
		return false
	}
	n, err := in.c.stream.Read(spare)
	in.unparsed = in.unparsed[:len(in.unparsed)+n]
	if n > 0 {
		in.received.Store(true)
	}
	in.c.mu.Lock()
	in.waiting = false
	in.c.stream.SetReadDeadline(time.Time{})
	in.c.mu.Unlock()
	return n < len(spare) && (err == nil || transport.IsTimeout(err))
}

// freeSpace returns the free space in the read buffer after the unread bytes. Unread bytes in other memory, in the stream or from the
// handshake, are first moved to a buffer.
func (in *inbox) freeSpace() []byte {
	if !in.pending {
		in.cur.Payload = nil
	}
	if in.buf == nil {
		if len(in.cur.Payload)+len(in.unparsed) >= transport.BufferSize {
			return nil
		}
		in.buf = transport.Borrow()
		n := copy(in.buf[:], in.cur.Payload)
		m := copy(in.buf[n:], in.unparsed)
		in.cur.Payload, in.unparsed = in.buf[:n:n], in.buf[n:n+m]
	}
	return in.unparsed[len(in.unparsed):cap(in.unparsed)]
}
