package gosdk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"github.com/handfast/handfast/internal/bounded"
)

// each runs a test with a JSON client and with a Protobuf client.
func each(t *testing.T, test func(t *testing.T, s *server, of maker)) {
	for name, of := range formats {
		t.Run(name, func(t *testing.T) { test(t, newServer(t), of) })
	}
}

// Two clients with different formats receive each other's publications, and see each other's presence and the history.
func TestChannel(t *testing.T) {
	s := newServer(t)
	ann, bob := s.user(centrifuge.NewJsonClient, "ann"), s.user(centrifuge.NewProtobufClient, "bob")
	hers := ann.subscribe("news", centrifuge.SubscriptionConfig{JoinLeave: true})
	bounded.Receive(t, hers.subscribed)
	his := bob.subscribe("news", centrifuge.SubscriptionConfig{})
	bounded.Receive(t, his.subscribed)
	for who := ""; who != "bob"; {
		who = bounded.Receive(t, hers.joined)
	}

	ctx := bounded.Context(t)
	if _, err := hers.Publish(ctx, []byte(`{"text":"<ü>"}`)); err != nil {
		t.Fatal(err)
	}
	p := bounded.Receive(t, his.publications)
	if string(p.Data) != `{"text":"<ü>"}` || p.Info == nil || p.Info.User != "ann" || string(p.Info.ConnInfo) != `{"name":"ann"}` || p.Offset != 1 {
		t.Errorf("%+v, %+v", p, p.Info)
	}
	if _, err := his.Publish(ctx, []byte(`2`)); err != nil {
		t.Fatal(err)
	}
	hers.want(t, `{"text":"<ü>"}`, `2`)

	for _, sub := range []*subscription{hers, his} {
		present, err := sub.Presence(ctx)
		users := map[string]string{}
		for _, c := range present.Clients {
			users[c.User] = string(c.ConnInfo)
		}
		if err != nil || len(present.Clients) != 2 || users["ann"] != `{"name":"ann"}` || users["bob"] != `{"name":"bob"}` {
			t.Errorf("%+v, %v", present, err)
		}
		if n, err := sub.PresenceStats(ctx); err != nil || n.NumClients != 2 || n.NumUsers != 2 {
			t.Errorf("%+v, %v", n, err)
		}
		all, err := sub.History(ctx, centrifuge.WithHistoryLimit(10))
		if err != nil || len(all.Publications) != 2 || all.Offset != 2 || all.Epoch == "" {
			t.Fatalf("%+v, %v", all, err)
		}
		first := &centrifuge.StreamPosition{Offset: 1, Epoch: all.Epoch}
		if h, err := sub.History(ctx, centrifuge.WithHistoryLimit(10), centrifuge.WithHistorySince(first)); err != nil || len(h.Publications) != 1 {
			t.Errorf("%+v, %v", h, err)
		}
		if h, err := sub.History(ctx, centrifuge.WithHistoryLimit(1), centrifuge.WithHistoryReverse(true)); err != nil || string(h.Publications[0].Data) != `2` {
			t.Errorf("%+v, %v", h, err)
		}
	}
	if err := his.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if who := bounded.Receive(t, hers.left); who != "bob" {
		t.Errorf("%s has left", who)
	}
}

// A client whose connection was cut receives the publications that it missed, in order and once.
func TestRecovery(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		c := s.user(of, "ann")
		sub := c.subscribe("news", centrifuge.SubscriptionConfig{Recoverable: true})
		if e := bounded.Receive(t, sub.subscribed); !e.Recoverable || e.WasRecovering {
			t.Errorf("%+v", e)
		}
		n := 0
		publish := func() (data []string) {
			for range 3 {
				n++
				s.api("publish", fmt.Sprintf(`{"channel":"news","data":%d}`, n))
				data = append(data, fmt.Sprint(n))
			}
			return data
		}
		for range 3 {
			sub.want(t, publish()...)
			c.cut()
			missed := publish()
			if e := bounded.Receive(t, c.connecting); e.Code != 1 {
				t.Errorf("connecting: %+v", e)
			}
			bounded.Receive(t, c.connected)
			if e := bounded.Receive(t, sub.subscribed); !e.WasRecovering || !e.Recovered {
				t.Errorf("%+v", e)
			}
			sub.want(t, missed...)
		}
	})
}

// A client is notified if the publications that it missed cannot be recovered.
func TestRecoveryFails(t *testing.T) {
	s := newServer(t)
	c := s.user(centrifuge.NewProtobufClient, "ann")
	sub := c.subscribe("news", centrifuge.SubscriptionConfig{Recoverable: true})
	bounded.Receive(t, sub.subscribed)
	s.api("publish", `{"channel":"news","data":1}`)
	sub.want(t, `1`)
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	for range 110 { // the size of the history is 100
		s.api("publish", `{"channel":"news","data":2}`)
	}
	if err := c.Connect(); err != nil {
		t.Fatal(err)
	}
	if e := bounded.Receive(t, sub.subscribed); !e.WasRecovering || e.Recovered {
		t.Errorf("%+v", e)
	}
	s.api("publish", `{"channel":"news","data":3}`)
	sub.want(t, `3`)
}

// The application handles a client's RPC calls.
func TestRPC(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		c := s.user(of, "ann")
		r, err := c.RPC(bounded.Context(t), "add", []byte(`[1,2]`))
		if err != nil || string(r.Data) != `{"sum":3}` {
			t.Errorf("%s, %v", r.Data, err)
		}
		for method, want := range map[string]centrifuge.Error{
			"deny": {Code: 403, Message: "not you"}, "none": {Code: 100, Message: "internal server error", Temporary: true},
		} {
			_, err := c.RPC(bounded.Context(t), method, []byte(`[1,2]`))
			if e, ok := errors.AsType[*centrifuge.Error](err); !ok || *e != want {
				t.Errorf("%s: %v", method, err)
			}
		}
	})
}

// A token that is about to expire is renewed on the open connection; an expired token is renewed before use.
func TestRefresh(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		asked := make(chan struct{}, 16)
		get := func(centrifuge.ConnectionTokenEvent) (string, error) {
			asked <- struct{}{}
			return token(t, secret, claims{"sub": "ann", "exp": expiryInAnHour()}), nil
		}
		c := s.client(of, centrifuge.Config{GetToken: get, Token: token(t, secret, claims{"sub": "ann", "expire_at": time.Now().Add(3 * time.Second).Unix()})})
		bounded.Receive(t, c.connected)
		bounded.Receive(t, asked)
		if _, err := c.Publish(bounded.Context(t), "news", []byte(`1`)); err != nil {
			t.Error(err)
		}
		if len(c.connecting)+len(c.disconnected) > 0 {
			t.Error("the connection has ended")
		}

		late := s.client(of, centrifuge.Config{GetToken: get, Token: token(t, secret, claims{"sub": "ann", "exp": time.Now().Add(-time.Hour).Unix()})})
		bounded.Receive(t, asked)
		bounded.Receive(t, late.connected)
	})
}

// An expiring subscription token is renewed on the open subscription.
func TestSubscriptionTokens(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		c := s.user(of, "ann")
		asked := make(chan struct{}, 16)
		sub := c.subscribe("$private", centrifuge.SubscriptionConfig{
			Token: token(t, secret, claims{"sub": "ann", "channel": "$private", "expire_at": time.Now().Add(3 * time.Second).Unix()}),
			GetToken: func(e centrifuge.SubscriptionTokenEvent) (string, error) {
				asked <- struct{}{}
				return token(t, secret, claims{"sub": "ann", "channel": e.Channel, "exp": expiryInAnHour()}), nil
			},
		})
		bounded.Receive(t, sub.subscribed)
		bounded.Receive(t, asked)
		s.api("publish", `{"channel":"$private","data":1}`)
		sub.want(t, `1`)
		if sub.State() != centrifuge.SubStateSubscribed || len(sub.unsubscribed) > 0 {
			t.Errorf("%s", sub.State())
		}
		for channel, config := range map[string]centrifuge.SubscriptionConfig{
			"$none": {}, "$other": {Token: token(t, secret, claims{"sub": "ann", "channel": "$private"})},
			"$forged": {Token: token(t, "another", claims{"sub": "ann", "channel": "$forged"})},
			"$bob":    {Token: token(t, secret, claims{"sub": "bob", "channel": "$bob"})},
		} {
			if e := bounded.Receive(t, c.subscribe(channel, config).unsubscribed); e.Code != 103 {
				t.Errorf("%s: %+v", channel, e)
			}
		}
	})
}

// A client does not reconnect after terminal close codes, and reconnects after other codes.
func TestEnds(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		c := s.user(of, "ann")
		sub := c.subscribe("news", centrifuge.SubscriptionConfig{})
		bounded.Receive(t, sub.subscribed)
		s.api("unsubscribe", `{"user":"ann","channel":"news"}`)
		if e := bounded.Receive(t, sub.unsubscribed); e.Code != 2000 {
			t.Errorf("%+v", e)
		}
		s.api("disconnect", `{"user":"ann","disconnect":{"code":3100,"reason":"again"}}`)
		if e := bounded.Receive(t, c.connecting); e.Code != 3100 || e.Reason != "again" {
			t.Errorf("%+v", e)
		}
		bounded.Receive(t, c.connected)
		s.api("disconnect", `{"user":"ann"}`)
		if e := bounded.Receive(t, c.disconnected); e.Code != 3503 {
			t.Errorf("%+v", e)
		}
		banned := s.user(of, "bob")
		s.api("disconnect", `{"user":"bob","disconnect":{"code":4501,"reason":"banned"}}`)
		if e := bounded.Receive(t, banned.disconnected); e.Code != 4501 || e.Reason != "banned" {
			t.Errorf("%+v", e)
		}
		for _, bad := range []string{"", "x.y.z", token(t, "another", claims{"sub": "ann"})} {
			n := s.client(of, centrifuge.Config{Token: bad})
			if e := bounded.Receive(t, n.disconnected); e.Code != 3500 {
				t.Errorf("%q: %+v", bad, e)
			}
		}
	})
}

// Applying a delta to the previous publication produces the new publication.
func TestDeltas(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		sub := s.user(of, "ann").subscribe("news", centrifuge.SubscriptionConfig{Delta: centrifuge.DeltaTypeFossil})
		bounded.Receive(t, sub.subscribed)
		for n := range 5 {
			data := fmt.Sprintf(`{"text":%q,"n":%d}`, strings.Repeat("the same text again, ", 50), n)
			s.api("publish", `{"channel":"news","data":`+data+`}`)
			sub.want(t, data)
		}
	})
}

// Deltas, recovery and compression work together: a client that was disconnected receives the publications that it missed, and deltas
// after that.
func TestDeltasRecoveredAndCompressed(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		c := s.client(of, centrifuge.Config{Token: token(t, secret, claims{"sub": "ann", "exp": expiryInAnHour()}), EnableCompression: true})
		bounded.Receive(t, c.connected)
		sub := c.subscribe("news", centrifuge.SubscriptionConfig{Delta: centrifuge.DeltaTypeFossil, Recoverable: true})
		bounded.Receive(t, sub.subscribed)
		published := 0
		publish := func(count int) (all []string) {
			for range count {
				data := fmt.Sprintf(`{"text":%q,"n":%d}`, strings.Repeat("the same text again, ", 100), published)
				s.api("publish", `{"channel":"news","data":`+data+`}`)
				all = append(all, data)
				published++
			}
			return all
		}
		for range 3 {
			sub.want(t, publish(4)...)
			c.cut()
			missed := publish(4)
			if e := bounded.Receive(t, sub.subscribed); !e.WasRecovering || !e.Recovered {
				t.Errorf("%+v", e)
			}
			sub.want(t, missed...)
		}
		sub.want(t, publish(4)...)
	})
}

// A subscription with a filter receives and recovers only publications with matching tags.
func TestFilter(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		c := s.user(of, "ann")
		sub := c.subscribe("prices", centrifuge.SubscriptionConfig{Recoverable: true, TagsFilter: centrifuge.FilterAnd(
			centrifuge.FilterIn("ticker", "AAPL", "MSFT"), centrifuge.FilterNot(centrifuge.FilterLt("price", "100")))})
		bounded.Receive(t, sub.subscribed)
		publish := func(ticker, price string) {
			s.api("publish", `{"channel":"prices","data":`+price+`,"tags":{"ticker":"`+ticker+`","price":"`+price+`"}}`)
		}
		publish("AAPL", "99")
		publish("GOOG", "100")
		publish("AAPL", "101")
		sub.want(t, "101")
		c.cut()
		publish("MSFT", "50")
		publish("MSFT", "500")
		publish("GOOG", "600")
		publish("AAPL", "700")
		sub.want(t, "500", "700")
	})
}

// A client that its token or the application has subscribed to a channel receives and recovers publications.
func TestServerSide(t *testing.T) {
	each(t, func(t *testing.T, s *server, of maker) {
		c := s.client(of, centrifuge.Config{Token: token(t, secret, claims{"sub": "ann", "channels": []string{"personal"}})})
		bounded.Receive(t, c.connected)
		if channel := bounded.Receive(t, c.put); channel != "personal" {
			t.Error(channel)
		}
		s.api("subscribe", `{"user":"ann","channel":"put"}`)
		if channel := bounded.Receive(t, c.put); channel != "put" {
			t.Error(channel)
		}
		want := func(data string) {
			t.Helper()
			if p := bounded.Receive(t, c.publications); string(p.Data) != data {
				t.Errorf("got %s, want %s", p.Data, data)
			}
		}
		s.api("publish", `{"channel":"personal","data":1}`)
		want(`1`)
		s.api("publish", `{"channel":"put","data":2}`)
		want(`2`)
		c.cut()
		s.api("publish", `{"channel":"personal","data":3}`)
		want(`3`)
	})
}
