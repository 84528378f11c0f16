package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/examples/internal/sitetest"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// subscribe starts the example, and returns a client with a subscription to the prices.
func subscribe(ctx context.Context, t *testing.T) (*client.Client, *client.Subscription) {
	t.Helper()
	c := client.New(strings.Replace(sitetest.Start(t, example()), "http", "ws", 1)+"channels", nil)
	t.Cleanup(func() { c.Close() })
	prices, err := c.Subscribe(ctx, "prices", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, prices
}

// Clients receive prices of every stock, and cannot publish.
func TestPrices(t *testing.T) {
	ctx := bounded.Context(t)
	c, prices := subscribe(ctx, t)
	if _, err := c.Publish(ctx, "prices", json.RawMessage(`{"stock":"S00","price":1}`), nil); err == nil {
		t.Error("a client may publish prices")
	}
	seen := map[string]float64{}
	for e, err := range prices.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Message == nil {
			continue
		}
		var p Price
		if err := json.Unmarshal(e.Message.Data, &p); err != nil || p.Stock != e.Message.Key || p.Price <= 0 {
			t.Fatalf("%s: %v", e.Message.Data, err)
		}
		if seen[p.Stock] = p.Price; len(seen) == stocks {
			break
		}
	}
}

// A client that reads receives 1,000 prices a second. The positions and times of two prices show how many were published between them.
func TestRate(t *testing.T) {
	ctx := bounded.Context(t)
	_, prices := subscribe(ctx, t)
	var first client.Message
	received := uint64(0)
	for e, err := range prices.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Message == nil {
			continue
		}
		if received++; received == 1 {
			first = *e.Message
		}
		took := e.Message.Time.Sub(first.Time)
		if took < 2*time.Second {
			continue
		}
		published := e.Message.Offset - first.Offset
		if got := float64(published) / took.Seconds(); got < 0.9*rate || got > 1.1*rate {
			t.Errorf("%.0f prices a second", got)
		}
		if received != published+1 {
			t.Errorf("%d of %d prices were received", received, published+1)
		}
		return
	}
}
