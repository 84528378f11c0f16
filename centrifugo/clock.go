package centrifugo

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

const (
	connectTime = 10 * time.Second // a connection without a successful connect command is stale after that
	pingEvery   = 25 * time.Second
	pongTime    = 10 * time.Second // a client without an answer to a ping is gone after that
	refreshTime = 25 * time.Second // a client may be late with a new token
)

// clock has what is due on a connection, and one timer for all of it.
type clock struct {
	mu      sync.Mutex
	s       *session
	timer   *time.Timer
	stale   time.Time            // zero when connected
	ping    time.Time            // the next ping; zero before
	pong    time.Time            // by when the answer must be there; zero when none is due
	expires time.Time            // of the connection
	subs    map[string]time.Time // of subscriptions
	over    bool
}

// start has the session closed unless it connects.
func (c *clock) start(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s, c.stale = s, time.Now().Add(connectTime)
	c.timer = time.AfterFunc(connectTime, c.tick)
}

// connected begins to ping. The first one comes early, at a random time: many clients may have connected together.
func (c *clock) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = time.Time{}
	c.ping = time.Now().Add(pingEvery/2 + rand.N(pingEvery/2)) //nolint:gosec // nothing is secret about it
	c.arm()
}

// answered notes a pong, and reports whether one was due.
func (c *clock) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := !c.pong.IsZero()
	c.pong = time.Time{}
	return due
}

// expire sets when the connection expires; never, if t is zero.
func (c *clock) expire(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires = t
	c.arm()
}

// expireSub sets when a subscription expires; never, if t is zero.
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

// expiring has a subscription that has begun expire with its token, and not with that of an earlier one.
func (c *clock) expiring(r *request, res *protocol.SubscribeResult) {
	expires := zeroTime
	if r.expires != nil {
		expires = r.expires.Expires
	}
	if !expires.IsZero() {
		res.Expires, res.Ttl = true, secondsUntil(expires)
	}
	c.expireSub(r.channel, expires)
}

// stop ends the clock.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.timer.Stop()
}

// arm sets the timer to what is due first. The caller holds mu.
func (c *clock) arm() {
	var next time.Time
	first := func(t time.Time, late time.Duration) {
		if !t.IsZero() && (next.IsZero() || t.Add(late).Before(next)) {
			next = t.Add(late)
		}
	}
	first(c.stale, 0)
	first(c.ping, 0)
	first(c.pong, 0)
	first(c.expires, refreshTime)
	for _, t := range c.subs {
		first(t, refreshTime)
	}
	if !c.over && !next.IsZero() {
		c.timer.Reset(time.Until(next))
	}
}

// tick does what is due.
func (c *clock) tick() {
	c.mu.Lock()
	now, s := time.Now(), c.s
	past := func(t time.Time, late time.Duration) bool { return !t.IsZero() && !now.Before(t.Add(late)) }
	end := endStale
	switch {
	case c.over:
		c.mu.Unlock()
		return
	case past(c.stale, 0):
	case past(c.pong, 0):
		end = endNoPong
	case past(c.expires, refreshTime):
		end = endExpired
	default:
		end = nil
	}
	if end != nil {
		c.over = true
		c.mu.Unlock()
		s.shut(end)
		return
	}
	ping := past(c.ping, 0)
	if ping {
		c.ping, c.pong = now.Add(pingEvery), now.Add(pongTime)
	}
	var expired []string
	for channel, t := range c.subs {
		if past(t, refreshTime) {
			expired = append(expired, channel)
			delete(c.subs, channel)
		}
	}
	c.arm()
	c.mu.Unlock()
	if ping {
		if s.out.Sender.SendPrepared(pings[s.format]) != nil {
			c.answered() // nothing was asked
		}
	}
	for _, channel := range expired {
		if s.end(channel) {
			s.out.reply(&protocol.Reply{Push: &protocol.Push{Channel: channel, Unsubscribe: unsubscribed(hub.EndExpired)}})
		}
	}
}
