package pusher

import (
	"context"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
)

// countedChannels returns the session's channels for which the number of subscriptions is sent.
func (s *session) countedChannels() []string {
	if !s.server.SubscriptionCounts {
		return nil
	}
	return s.hub.Subscriptions()
}

// count schedules a message with the number of subscriptions of a channel.
func (s *session) count(channel string) {
	if !s.server.SubscriptionCounts || isPresence(channel) || strings.HasPrefix(channel, hub.UserChannel("")) {
		return
	}
	s.server.counts.schedule(hub.ChannelOf(s.app.ID, channel), true, func() { s.server.sendCount(s.app.ID, channel) })
}

// sendCount publishes the number of subscriptions of a channel.
func (s *Server) sendCount(app, channel string) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	n, err := s.Hub.Subscribers(ctx, app, channel)
	if err == nil && s.Events != nil {
		s.Events(hub.Event{Kind: hub.EventSubscriptionCount, Time: time.Now(), App: app, Channel: channel, Subscribers: n})
	}
	if err == nil && n > 0 {
		data := jsonText(map[string]int{"subscription_count": n})
		p := &hub.Publication{Event: countEvent, Data: []byte(data)}
		s.Hub.Publish(ctx, app, channel, p, &hub.PublishOptions{History: -1}) //nolint:errcheck // if this fails, the next change sends the number again
	}
}

// reportCacheMiss reports that a cache channel had no event for a subscriber.
func (s *Server) reportCacheMiss(app, channel string) {
	if s.Events == nil {
		return
	}
	s.misses.schedule(hub.ChannelOf(app, channel), false, func() {
		s.Events(hub.Event{Kind: hub.EventCacheMiss, Time: time.Now(), App: app, Channel: channel})
	})
}

const countEvent = hub.InternalPrefix + "subscription_count"
