//go:build e2e

package redisengine

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// The ID of a publication is remembered for hub.Idempotency, whether or not the publication is kept.
func TestIdempotencyEnds(t *testing.T) {
	s := startRedis(t, "")
	e := newEngine(t, s.URL())
	h := hub.New(hub.Options{Engine: e, Namespaces: []hub.Namespace{{}, {Prefix: "kept", History: 10}}})
	t.Cleanup(func() { h.Close() })
	for _, channel := range []string{"kept", "not-kept"} {
		if _, err := h.Publish(bounded.Context(t), "app", channel, &hub.Publication{ID: "once", Data: []byte("1")}, nil); err != nil {
			t.Fatal(err)
		}
		key := e.subs.topicOf("app/"+channel) + ":id:once"
		ms, err := e.do(bounded.Context(t), "reading a time", func(ctx context.Context, c rueidis.Client) rueidis.RedisResult {
			return c.Do(ctx, c.B().Pttl().Key(key).Build())
		})
		if err != nil {
			t.Fatal(err)
		}
		left, err := ms.AsInt64()
		if d := time.Duration(left) * time.Millisecond; err != nil || d <= hub.Idempotency-time.Minute || d > hub.Idempotency {
			t.Errorf("%s: %v left, %v", channel, d, err)
		}
	}
}
