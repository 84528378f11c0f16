package enginetest

import (
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func commands(s *suite) {
	if !implements[hub.Broadcast](s) {
		return
	}
	a, b := s.hub(), s.hub()
	here, there, other := s.client(a, "ann"), s.client(b, "ann"), s.client(b, "bob")
	second := s.client(b, "ann")
	all := []*Client{here, there, other}
	for _, c := range all {
		c.Subscribe(s, "plain:1", hub.SubscribeOptions{})
		c.Subscribe(s, "plain:2", hub.SubscribeOptions{})
	}
	messages := make(chan hub.Command, 10)
	heard := NewClient(s, b, nil, hub.Client{ID: "heard", User: "ann", Command: func(c hub.Command) { messages <- c }})
	message := hub.Command{Kind: hub.CommandMessage, App: "app", User: "ann", Channel: "x", Data: []byte("data")}
	if err := a.Do(bounded.Context(s), message); err != nil {
		s.Fatal(err)
	}
	if got := bounded.Receive(s, messages); got.Channel != "x" || string(got.Data) != "data" {
		s.Errorf("the message is %+v", got)
	}
	heard.Session.Leave()
	do := func(c hub.Command) {
		s.Helper()
		c.App = "app"
		if err := a.Do(bounded.Context(s), c); err != nil {
			s.Fatal(err)
		}
	}
	do(hub.Command{Kind: hub.CommandUnsubscribe, User: "ann", Channel: "plain:1", Reason: hub.EndDenied})
	for _, c := range []*Client{here, there} {
		c.Until(s, func(es []Event) bool {
			e := es[len(es)-1]
			return e.Ended && e.Channel == "plain:1" && e.Reason == hub.EndDenied
		})
		if c.Session.Subscribed("plain:1") || !c.Session.Subscribed("plain:2") {
			s.Errorf("subscribed to %q", c.Session.Subscriptions())
		}
	}
	if !other.Session.Subscribed("plain:1") {
		s.Error("another user's subscription has ended")
	}
	do(hub.Command{
		Kind: hub.CommandDisconnect, User: "ann", Except: []string{here.Session.Client().ID, second.Session.Client().ID}, Reason: hub.EndExpired,
	})
	untilClosed(s, there, 4000+websocket.Code(hub.EndExpired))
	do(hub.Command{Kind: hub.CommandDisconnect, Client: other.Session.Client().ID, Reason: hub.EndServer})
	untilClosed(s, other, 4000)
	for _, c := range []*Client{here, second} {
		if _, code := c.Calls(); code != 0 {
			s.Errorf("an excepted client was closed with %d", code)
		}
	}
	if err := a.Do(bounded.Context(s), hub.Command{App: "app"}); err == nil {
		s.Error("a disconnect of all is accepted")
	}
}

func untilClosed(t testing.TB, c *Client, want websocket.Code) {
	t.Helper()
	bounded.Until(t, func() bool { _, code := c.Calls(); return code == want })
}

func positions(s *suite) {
	if !implements[hub.Positions](s) {
		return
	}
	a, b := s.hub(), s.hub()
	ctx := bounded.Context(s)
	if p, err := a.Acked(ctx, "app", "history:a", "phone"); p != nil || err != nil {
		s.Errorf("before: %v, %v", p, err)
	}
	for _, tt := range []struct{ save, want hub.Position }{
		{hub.Position{Epoch: "e", Offset: 5}, hub.Position{Epoch: "e", Offset: 5}},
		{hub.Position{Epoch: "e", Offset: 3}, hub.Position{Epoch: "e", Offset: 5}},
		{hub.Position{Epoch: "e", Offset: 7}, hub.Position{Epoch: "e", Offset: 7}},
		{hub.Position{Epoch: "f", Offset: 1}, hub.Position{Epoch: "f", Offset: 1}},
	} {
		if err := a.Ack(ctx, "app", "history:a", "phone", tt.save); err != nil {
			s.Fatal(err)
		}
		if p, err := b.Acked(ctx, "app", "history:a", "phone"); err != nil || p == nil || *p != tt.want {
			s.Errorf("after %+v: %+v, %v", tt.save, p, err)
		}
	}
	if p, err := b.Acked(ctx, "app", "history:a", "tablet"); p != nil || err != nil {
		s.Errorf("another device: %v, %v", p, err)
	}
}

func probe(s *suite) {
	if !implements[hub.Probe](s) {
		return
	}
	h := s.hub()
	bounded.Until(s, func() bool { return h.Ready() == nil })
	if err := h.Close(); err != nil {
		s.Error(err)
	}
	if err := h.Ready(); err == nil {
		s.Error("a closed hub is ready")
	}
}
