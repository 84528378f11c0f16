package client

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A device continues after the last message that it has acknowledged, on any connection of its user. The acknowledgement does not affect
// other devices and other users.
func TestAck(t *testing.T) {
	s := &server{client: func(r *http.Request) (channels.Client, error) {
		return channels.Client{User: r.Header.Get("User")}, nil
	}}
	serve(t, s, "127.0.0.1:0")
	open := func(user, device string) (*Client, *Subscription) {
		t.Helper()
		c := connect(t, s, Options{Dial: &websocket.DialOptions{Header: http.Header{"User": {user}}}})
		return c, subscribe(t, c, "chat", &SubscribeOptions{Device: device})
	}
	gets := func(sub *Subscription, want ...int) {
		t.Helper()
		for _, n := range want {
			if e := next(t, sub); e.Message == nil || string(e.Message.Data) != strconv.Itoa(n) {
				t.Fatalf("got %+v, want %d", e, n)
			}
		}
	}
	none := func(sub *Subscription) {
		t.Helper()
		if e := next(t, sub); e.Gap != wire.NoAck {
			t.Fatalf("%+v", e)
		}
	}
	ack := func(sub *Subscription, device string, p Position) {
		t.Helper()
		if err := sub.Ack(bounded.Context(t), device, p); err != nil {
			t.Fatal(err)
		}
	}

	c, phone := open("ann", "phone")
	none(phone)
	d, tablet := open("ann", "tablet")
	none(tablet)
	at := make([]Position, 5)
	for i := range at {
		at[i] = publish(t, c, "chat", strconv.Itoa(i)).Position
	}
	gets(phone, 0, 1, 2, 3, 4)
	ack(tablet, "tablet", at[0])
	ack(phone, "phone", at[1])
	ack(phone, "phone", at[3]) // acknowledges all messages up to this position
	ack(phone, "phone", at[2]) // has no effect, because the position is earlier
	c.Close()
	d.Close()

	c, phone = open("ann", "phone")
	gets(phone, 4)
	_, tablet = open("ann", "tablet")
	gets(tablet, 1, 2, 3, 4)
	_, other := open("bob", "phone")
	none(other)

	// After a reconnect, a subscription continues at its own position, not at the position that its device has acknowledged.
	s.cut()
	publish(t, c, "chat", "5")
	gets(phone, 5)
	gets(tablet, 5)
	if err := phone.Close(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	if err := phone.Ack(bounded.Context(t), "phone", at[4]); err == nil {
		t.Error("a closed subscription can acknowledge messages")
	}
}

// A client can read a keyed collection in pages, and then subscribe from the position of the first page.
func TestSnapshot(t *testing.T) {
	s := &server{}
	serve(t, s, "127.0.0.1:0")
	c := connect(t, s, Options{})
	set := func(key, data string) {
		t.Helper()
		if _, err := c.Publish(bounded.Context(t), "prices", json.RawMessage(data), &PublishOptions{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	set("gold", "1")
	set("lead", "2")
	set("gold", "3")
	first, err := c.Snapshot(bounded.Context(t), "prices", "", 1)
	if err != nil || len(first.Messages) != 1 || string(first.Messages[0].Data) != "3" || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	set("tin", "4")
	second, err := c.Snapshot(bounded.Context(t), "prices", first.Next, 1)
	if err != nil || len(second.Messages) != 1 || second.Messages[0].Key != "lead" {
		t.Errorf("%+v, %v", second, err)
	}
	sub := subscribe(t, c, "prices", &SubscribeOptions{Since: &first.Position})
	if e := next(t, sub); e.Message == nil || e.Message.Key != "tin" {
		t.Errorf("%+v", e)
	}
}
