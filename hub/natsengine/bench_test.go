package natsengine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
)

// BenchmarkOccupied reads a page of 5,000 channels with subscribers.
func BenchmarkOccupied(b *testing.B) {
	e := newEngine(b, Options{Server: start(b, Embedded{Dir: b.TempDir()})})
	h := hub.New(hub.Options{Engine: e})
	defer h.Close() //nolint:errcheck // an error does not matter, because the server is stopped after the test
	enginetest.NewClient(b, h, nil, hub.Client{ID: "one"})
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := e.Lease(ctx, "lease", time.Hour); err != nil {
		b.Fatal(err)
	}
	var cs []hub.Occupied
	for i := range 5000 {
		cs = append(cs, hub.Occupied{Channel: hub.ChannelOf("app", fmt.Sprint("room:", i)), Subscribers: 1})
	}
	if err := e.Occupy(ctx, "lease", cs); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		page, more, err := e.Occupied(ctx, hub.ChannelOf("app", ""), "", 100)
		if err != nil || len(page) != 100 || !more {
			b.Fatalf("%d channels, %v, %v", len(page), more, err)
		}
	}
}
