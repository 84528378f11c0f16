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

	missed map[string]struct{} // cache channels that were reported as empty a short time ago
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
	n, err := s.Hub.Subscribers(ctx, app, channel)
	if err == nil && s.Events != nil {
		s.Events(hub.Event{Kind: hub.EventSubscriptionCount, Time: time.Now(), App: app, Channel: channel, Subscribers: n})
	}
	if err == nil && n > 0 {
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

// missed reports that a cache channel had no event for a subscriber.
func (s *Server) missed(app, channel string) {
	if s.Events == nil {
		return
	}
	c, key := &s.counts, hub.ChannelOf(app, channel)
	c.mu.Lock()
	_, reported := c.missed[key]
	if !reported {
		if c.missed == nil {
			c.missed = map[string]struct{}{}
		}
		c.missed[key] = struct{}{}
	}
	c.mu.Unlock()
	if reported {
		return
	}
	s.Events(hub.Event{Kind: hub.EventCacheMiss, Time: time.Now(), App: app, Channel: channel})
	time.AfterFunc(countEvery, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.missed, key)
	})
}

const countEvent = hub.InternalPrefix + "subscription_count"
