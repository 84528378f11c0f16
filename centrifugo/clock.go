package centrifugo

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

const (
	connectTimeout = 10 * time.Second // how long a connection may exist without a successful connect command
	pingInterval   = 25 * time.Second
	pongTimeout    = 10 * time.Second // how long a client may take to answer a ping
	refreshGrace   = 25 * time.Second // how late a client may send a new token
)

// clock manages the timeouts of a connection, with one timer for all of them.
type clock struct {
	mu              sync.Mutex
	s               *session
	timer           *time.Timer
	connectDeadline time.Time            // when the connection is closed if the client has not connected; zero when connected
	nextPing        time.Time            // when the next ping is sent; zero before connecting
	pongDeadline    time.Time            // when the pong must have arrived; zero if none is expected
	expires         time.Time            // when the connection expires; zero means never
	subs            map[string]time.Time // when subscriptions expire
	stopped         bool
}

// start starts the clock. It closes the session if the client does not connect within connectTimeout.
func (c *clock) start(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s, c.connectDeadline = s, time.Now().Add(connectTimeout)
	c.timer = time.AfterFunc(connectTimeout, c.tick)
}

// connected starts the pings. The time of the first ping is random, because many clients may have connected at the same time.
func (c *clock) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connectDeadline = time.Time{}
	c.nextPing = time.Now().Add(pingInterval/2 + rand.N(pingInterval/2)) // the jitter need not be secret
	c.arm()
}

// recordPong records a pong, and reports whether one was expected.
func (c *clock) recordPong() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := !c.pongDeadline.IsZero()
	c.pongDeadline = time.Time{}
	return due
}

// expire sets the time when the connection expires; zero means never.
func (c *clock) expire(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires = t
	c.arm()
}

// expireSub sets the time when a subscription expires; zero means never.
func (c *clock) expireSub(channel string, t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() {
		delete(c.subs, channel)
		return
	}
	if c.subs == nil {
		c.subs = map[string]time.Time{}
	}
	c.subs[channel] = t
	c.arm()
}

// setExpiry sets the expiry of a new subscription in the clock, and in the reply res.
func (c *clock) setExpiry(r *request, res *protocol.SubscribeResult) {
	expires := zeroTime
	if r.token != nil {
		expires = r.token.Expires
	}
	if !expires.IsZero() {
		res.Expires, res.Ttl = true, secondsUntil(expires)
	}
	c.expireSub(r.channel, expires)
}

// stop stops the clock.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.timer.Stop()
}

// arm sets the timer to the earliest timeout. The caller holds mu.
func (c *clock) arm() {
	var next time.Time
	first := func(t time.Time, late time.Duration) {
		if !t.IsZero() && (next.IsZero() || t.Add(late).Before(next)) {
			next = t.Add(late)
		}
	}
	first(c.connectDeadline, 0)
	first(c.nextPing, 0)
	first(c.pongDeadline, 0)
	first(c.expires, refreshGrace)
	for _, t := range c.subs {
		first(t, refreshGrace)
	}
	if !c.stopped && !next.IsZero() {
		c.timer.Reset(time.Until(next))
	}
}

// tick handles the timeouts that have passed.
func (c *clock) tick() {
	c.mu.Lock()
	now, s := time.Now(), c.s
	past := func(t time.Time, late time.Duration) bool { return !t.IsZero() && !now.Before(t.Add(late)) }
	end := endStale
	switch {
	case c.stopped:
		c.mu.Unlock()
		return
	case past(c.connectDeadline, 0):
	case past(c.pongDeadline, 0):
		end = endNoPong
	case past(c.expires, refreshGrace):
		end = endExpired
	default:
		end = nil
	}
	if end != nil {
		c.stopped = true
		c.mu.Unlock()
		s.shut(end)
		return
	}
	ping := past(c.nextPing, 0)
	if ping {
		c.nextPing, c.pongDeadline = now.Add(pingInterval), now.Add(pongTimeout)
	}
	var expired []string
	for channel, t := range c.subs {
		if past(t, refreshGrace) {
			expired = append(expired, channel)
			delete(c.subs, channel)
		}
	}
	c.arm()
	c.mu.Unlock()
	if ping {
		if s.out.Sender.SendPrepared(pings[s.format]) != nil {
			c.recordPong() // no ping was sent, so no pong is expected
		}
	}
	for _, channel := range expired {
		if s.end(channel) {
			s.out.reply(&protocol.Reply{Push: &protocol.Push{Channel: channel, Unsubscribe: unsubscribePush(hub.EndExpired)}})
		}
	}
}
