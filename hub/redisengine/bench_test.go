//go:build e2e

package redisengine

import (
	"strconv"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// BenchmarkPublishToDelivery measures the time from a publication on one node to its delivery on another.
func BenchmarkPublishToDelivery(b *testing.B) {
	s := startRedis(b, "")
	far, _ := node(b, Options{URL: s.URL()})
	near, _ := node(b, Options{URL: s.URL()})
	c := enginetest.NewClient(b, far, nil, hub.Client{ID: "c", User: "ann"})
	c.Subscribe(b, "room", hub.SubscribeOptions{})
	for b.Loop() {
		publish(b, near, "hello")
		c.Until(b, func(es []enginetest.Event) bool { return len(es) > 0 })
		c.Take()
	}
}

// BenchmarkRecovery measures the time to read the history for recovering 99 messages. The hub reads it once for subscribers that
// reconnect at the same time.
func BenchmarkRecovery(b *testing.B) {
	s := startRedis(b, "")
	h, _ := node(b, Options{URL: s.URL()})
	for i := range 100 {
		publish(b, h, strconv.Itoa(i))
	}
	page, err := h.History(bounded.Context(b), "app", "room", hub.HistoryQuery{Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	since := &hub.Position{Epoch: page.Top.Epoch, Offset: 1}
	for b.Loop() {
		page, err := h.History(b.Context(), "app", "room", hub.HistoryQuery{Since: since, Limit: -1})
		if err != nil || len(page.Publications) != 99 {
			b.Fatalf("%d messages, %v", len(page.Publications), err)
		}
	}
}
