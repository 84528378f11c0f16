package pusher

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/hub"
)

// countEvery is how often the number of subscriptions of a channel is sent at most.
const countEvery = time.Second

// counts is the channels whose number of subscriptions was sent a short time ago.
type counts struct {
	mu    sync.Mutex
	dirty map[string]bool // by the engine's channel: whether it has changed since
}

// counted returns the channels of the session whose subscribers get their number.
func (s *session) counted() []string {
	if !s.server.SubscriptionCounts {
		return nil
	}
	return s.hub.Subscriptions()
}

// count has the number of subscriptions of a channel sent.
func (s *session) count(channel string) {
	if !s.server.SubscriptionCounts || isPresence(channel) || strings.HasPrefix(channel, hub.UserChannel("")) {
		return
	}
	c, key := &s.server.counts, hub.ChannelOf(s.app.ID, channel)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waits := c.dirty[key]
	if waits {
		c.dirty[key] = true
		return
	}
	if c.dirty == nil {
		c.dirty = map[string]bool{}
	}
	c.dirty[key] = false
	time.AfterFunc(0, func() { s.server.sendCount(s.app.ID, channel) })
}

// sendCount publishes the number of subscriptions of a channel, and does so again later if it has changed by then.
func (s *Server) sendCount(app, channel string) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	if n, err := s.Hub.Subscribers(ctx, app, channel); err == nil && n > 0 {
		data := jsonText(map[string]int{"subscription_count": n})
		p := &hub.Publication{Event: countEvent, Data: []byte(data)}
		s.Hub.Publish(ctx, app, channel, p, &hub.PublishOptions{History: -1}) //nolint:errcheck // the next change says it again
	}
	time.AfterFunc(countEvery, func() {
		c, key := &s.counts, hub.ChannelOf(app, channel)
		c.mu.Lock()
		again := c.dirty[key]
		if again {
			c.dirty[key] = false
		} else {
			delete(c.dirty, key)
		}
		c.mu.Unlock()
		if again {
			s.sendCount(app, channel)
		}
	})
}

const countEvent = hub.InternalPrefix + "subscription_count"
