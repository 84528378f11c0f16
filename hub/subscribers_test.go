package hub_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A change of the number of subscribers is visible immediately on its own node, and on other nodes after the next report.
func TestSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const between = 2300 * time.Millisecond // not at the time of a report, when the engine does not have the new count yet
		m := hub.NewMemory()
		one, two := hub.New(hub.Options{Engine: m.Node()}), hub.New(hub.Options{Engine: m.Node()})
		defer one.Close()
		defer two.Close()
		want := func(h *hub.Hub, channel string, n int) {
			t.Helper()
			if got, err := h.Subscribers(context.Background(), "app", channel); err != nil || got != n {
				t.Errorf("%s has %d subscribers, want %d (%v)", channel, got, n, err)
			}
		}
		list := func(h *hub.Hub, after string, limit int, wanted string) {
			t.Helper()
			cs, more, err := h.Occupied(context.Background(), "app", "c", after, limit)
			if got := fmt.Sprint(cs, more); err != nil || got != wanted {
				t.Errorf("got %s, want %s (%v)", got, wanted, err)
			}
		}
		a, b := enginetest.NewClient(t, one, nil, hub.Client{ID: "a"}), enginetest.NewClient(t, two, nil, hub.Client{ID: "b"})
		a.Subscribe(t, "c", hub.SubscribeOptions{})
		a.Subscribe(t, "c2", hub.SubscribeOptions{})
		want(one, "c", 1)
		want(two, "c", 0)
		list(one, "", 0, "[{c 1} {c2 1}] false")
		advance(between)
		b.Subscribe(t, "c", hub.SubscribeOptions{})
		b.Subscribe(t, "c1", hub.SubscribeOptions{})
		want(one, "c", 1)
		want(two, "c", 2)
		want(two, "c2", 1)
		list(two, "", 1, "[{c 2}] true")
		list(two, "c", 1, "[{c1 1}] true")
		list(two, "c1", 1, "[{c2 1}] false")
		advance(between)
		want(one, "c", 2)
		if err := a.Session.Unsubscribe("c"); err != nil {
			t.Fatal(err)
		}
		want(one, "c", 1)
		if err := a.Session.Unsubscribe("c2"); err != nil {
			t.Fatal(err)
		}
		list(one, "", 0, "[{c 1} {c1 1}] false")
	})
	if _, err := start(t, hub.Options{}).Subscribers(bounded.Context(t), "app", ""); err == nil {
		t.Error("a channel without a name is accepted")
	}
}

// A member publishes with its user in the channel.
func TestMemberPublishes(t *testing.T) {
	h := start(t, rules(hub.Namespace{Presence: true}))
	a := enginetest.NewClient(t, h, nil, hub.Client{ID: "a", User: "ann"})
	a.Subscribe(t, "c", hub.SubscribeOptions{Member: true, User: "nick"})
	a.Subscribe(t, "d", hub.SubscribeOptions{})
	for channel, want := range map[string]string{"c": "nick", "d": "ann"} {
		p := text("1")
		if _, err := a.Session.Publish(bounded.Context(t), channel, p, nil); err != nil || p.User != want {
			t.Errorf("%s: %q, %v", channel, p.User, err)
		}
	}
}

// countingCodec counts the messages that it encodes.
type countingCodec struct {
	plainCodec

	framed *atomic.Int64
}

func (c countingCodec) Publication(channel string, p, previous *hub.Publication) (*websocket.Prepared, error) {
	c.framed.Add(1)
	return c.plainCodec.Publication(channel, p, previous)
}

// A publication to 10,000 subscribers is encoded once for each of their codecs.
func TestEncodedOncePerCodec(t *testing.T) {
	const subscribers = 10_000
	h := start(t, hub.Options{})
	codecs := []countingCodec{{framed: new(atomic.Int64)}, {framed: new(atomic.Int64)}}
	var left atomic.Int64
	left.Store(subscribers)
	done := make(chan struct{}, 1)
	for i := range subscribers {
		s, err := h.Join(hub.Client{App: "app", ID: fmt.Sprint(i), Out: &nullSender{&left, done}, Codec: codecs[i%len(codecs)]})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Subscribe(t.Context(), "c", hub.SubscribeOptions{}, replyNothing); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, h, "c", text("x"))
	bounded.Receive(t, done)
	for i, c := range codecs {
		if n := c.framed.Load(); n != 1 {
			t.Errorf("codec %d encoded the publication %d times", i, n)
		}
	}
}

// advance lets fake time pass in a synctest bubble.
func advance(d time.Duration) { <-time.After(d) }
