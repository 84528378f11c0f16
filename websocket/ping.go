package websocket

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// controlRate limits pings and unsolicited pongs.
type controlRate struct {
	since time.Duration // when the current second began, as the time since began; 0 means never
	count int           // the number of control frames in that second
}

func (r *controlRate) exceeded() bool {
	if r.count++; r.count <= protocol.MaxControls {
		return false
	}
	now := time.Since(began)
	if r.since != 0 && now-r.since < time.Second {
		return true
	}
	r.since, r.count = now, 1
	return false
}

// pings holds the pings that wait for their pong.
type pings struct {
	last    uint64 // the number of the latest ping, which is also its payload
	pending []*pendingPing
}

type pendingPing struct {
	id            uint64
	sent          time.Time
	fromKeepalive bool               // sent by keepalive: no goroutine waits for the pong
	answer        chan time.Duration // buffered for one value
	idle          chan struct{}      // receives a value when no other goroutine reads any more, so Ping must read; nil for keepalive's pings
}

// Ping sends a ping and returns the time until its pong. If no other goroutine is reading, Ping reads, and keeps messages for the
// next Read. Ping does not see a pong behind an unread message.
func (c *Conn) Ping(ctx context.Context) (time.Duration, error) {
	c.mu.Lock()
	if ctx.Err() != nil {
		c.mu.Unlock()
		return 0, interrupted("ping", ctx, errCtx)
	}
	if err := c.outbox.canWrite(); err != nil {
		c.mu.Unlock()
		return 0, err
	}
	p := c.outbox.pingLocked()
	p.idle = make(chan struct{}, 1)
	mine := c.inbox.read.tryAcquire()
	done := c.endedChan()
	c.mu.Unlock()
	defer c.inbox.removePing(p)
	for {
		if mine {
			c.inbox.readFrames(ctx, time.Time{}, func() bool { return len(p.answer) > 0 })
			c.inbox.releaseRead()
		}
		select {
		case rtt := <-p.answer:
			return rtt, nil
		case <-ctx.Done():
			return 0, interrupted("ping", ctx, errCtx)
		case <-done:
			return 0, c.ended()
		case <-p.idle:
			c.mu.Lock()
			mine = ctx.Err() == nil && c.inbox.read.tryAcquire()
			c.mu.Unlock()
		}
	}
}

// wakePing makes one of the waiting Pings read if no other goroutine reads. The caller holds mu.
func (in *inbox) wakePing() {
	if in.read.held || len(in.c.pings.pending) == 0 || in.hasUnread() {
		return
	}
	i := slices.IndexFunc(in.c.pings.pending, func(p *pendingPing) bool { return p.idle != nil })
	if i >= 0 && len(in.c.pings.pending[i].idle) == 0 {
		in.c.pings.pending[i].idle <- struct{}{}
	}
}

// pingLocked queues a ping. The caller holds mu.
func (o *outbox) pingLocked() *pendingPing {
	o.c.pings.last++
	p := &pendingPing{id: o.c.pings.last, sent: time.Now(), answer: make(chan time.Duration, 1)}
	o.c.pings.pending = append(o.c.pings.pending, p)
	ctl, err := o.c.m.AppendPing(o.ctl, binary.BigEndian.AppendUint64(nil, p.id), maskKey)
	if err == nil {
		o.ctl = ctl
		o.flush()
	}
	return p
}

func (in *inbox) removePing(p *pendingPing) {
	in.c.mu.Lock()
	defer in.c.mu.Unlock()
	if i := slices.Index(in.c.pings.pending, p); i >= 0 {
		in.c.pings.pending = slices.Delete(in.c.pings.pending, i, i+1)
	}
	in.wakePing() // this Ping may have been chosen to read
}

// readFrames handles received frames until enough returns true, a message is next, ctx is done, the deadline has passed, or another
// goroutine wants to read. The first piece of a message is kept for the next Read. The caller holds the read turn.
func (in *inbox) readFrames(ctx context.Context, deadline time.Time, done func() bool) {
	in.yields = true
	for !in.hasUnread() {
		if in.parse(ctx) != nil || in.pending || done() || in.fill(ctx, deadline) != nil {
			return
		}
	}
}

// hasUnread reports whether an unread message precedes the received bytes: a piece that was not read, or the rest of a compressed
// message whose frames have all arrived. The caller holds the read turn, or mu while no goroutine holds the turn.
func (in *inbox) hasUnread() bool {
	return in.pending || in.c.compression != nil && in.c.compression.message != nil && in.c.compression.ended
}

func never() bool { return false }

// control handles a control frame, except for the close frame, which the reader handles.
func (in *inbox) control(ev protocol.Event) error {
	if ev.Kind == protocol.Close || ev.Kind == protocol.Pong && in.matchPong(ev.Payload) {
		return nil
	}
	if in.controls.exceeded() {
		return in.c.m.TooManyControls()
	}
	return nil
}

// matchPong reports whether the payload of a pong matches one of our pings. It also completes the earlier pings: a peer may answer
// only the most recent ping (RFC 6455 §5.5.3).
func (in *inbox) matchPong(payload []byte) bool {
	if len(payload) != 8 {
		return false
	}
	id := binary.BigEndian.Uint64(payload)
	now := time.Now()
	in.c.mu.Lock()
	defer in.c.mu.Unlock()
	n := 0
	for _, p := range in.c.pings.pending {
		if p.id > id {
			break
		}
		p.answer <- now.Sub(p.sent)
		n++
	}
	in.c.pings.pending = slices.Delete(in.c.pings.pending, 0, n)
	return n > 0 && id <= in.c.pings.last
}

// reply sends the frames that the reading half requires, without waiting. The caller holds the read turn.
func (in *inbox) reply() {
	if !in.c.m.Pending() {
		return
	}
	in.c.mu.Lock()
	if len(in.c.outbox.ctl) == 0 {
		in.c.outbox.pending.markEarly()
	}
	in.c.outbox.ctl = in.c.m.AppendOutput(in.c.outbox.ctl, protocol.PongRoom, maskKey)
	in.c.outbox.flush()
	in.c.mu.Unlock()
}
