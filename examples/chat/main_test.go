package main

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/examples/internal/sitetest"
	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// Two members of a room see each other's presence, messages and read receipts.
func TestRoom(t *testing.T) {
	ctx := bounded.Context(t)
	base := strings.Replace(sitetest.Start(t, example()), "http", "ws", 1) + "channels?name="
	enter := func(name string) (*client.Client, *client.Subscription) {
		c := client.New(base+url.QueryEscape(name), nil)
		t.Cleanup(func() { c.Close() })
		s, err := c.Subscribe(ctx, "room-lobby", &client.SubscribeOptions{Join: true, Changes: true, Members: 10})
		if err != nil {
			t.Fatal(err)
		}
		return c, s
	}
	ann, room := enter("ann")
	bob, _ := enter("bob")
	if _, err := bob.Publish(ctx, "room-lobby", json.RawMessage(`"hello"`), nil); err != nil {
		t.Fatal(err)
	}
	joined, said := "", ""
	for e, err := range room.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Change != nil {
			joined = e.Change.Member.User
		}
		if e.Message != nil {
			said = e.Message.User + " " + string(e.Message.Data)
			break
		}
	}
	if joined != "bob" || said != `bob "hello"` {
		t.Errorf("joined %q, said %q", joined, said)
	}
	if _, err := ann.Publish(ctx, "read-lobby", json.RawMessage(`1`), &client.PublishOptions{Key: "ann"}); err != nil {
		t.Error(err)
	}
	if _, err := ann.Subscribe(ctx, "secret", nil); err == nil {
		t.Error("a channel that is not a room's is open")
	}
}
