package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// A program serves channels, and runs a subscriber and a publisher.
func Example() {
	h := hub.New(hub.Options{Namespaces: []hub.Namespace{{History: 100}}})
	defer h.Close()
	speaks := &channels.Server{Hub: h, App: "example"}
	endpoint := &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: channels.ConnOptions()},
		Open:   speaks.Open(channels.Client{}),
	}
	server := httptest.NewServer(endpoint)
	defer server.Close()
	defer endpoint.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := client.New(server.URL, nil)
	defer c.Close()
	s, err := c.Subscribe(ctx, "chat", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := c.Publish(ctx, "chat", json.RawMessage(`"hello"`), nil); err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range s.Events(ctx) {
		switch {
		case err != nil:
			fmt.Println(err)
		case e.Message != nil:
			fmt.Printf("%d: %s\n", e.Message.Offset, e.Message.Data)
		}
		break
	}
	// Output: 1: "hello"
}
