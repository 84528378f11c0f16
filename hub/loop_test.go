package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// Clients on real connections, on the event loop or with a goroutine each, do not read while much more is published than their
// queues hold. When they read again they get every message, and other clients are not delayed.
func TestSlowOverRealConnections(t *testing.T) {
	const count, slow = 4000, 4
	options := websocket.ConnOptions{QueueBytes: 128 << 10, QueueFull: websocket.QueueDropNewest}
	join := func(h *hub.Hub, out websocket.Sender) websocket.Receiver {
		s, err := h.Join(hub.Client{App: "app", ID: fmt.Sprintf("%p", out), Out: out, Codec: plainCodec{}})
		if err != nil {
			t.Error(err)
			return nil
		}
		if err := s.Subscribe(bounded.Context(t), "c", hub.SubscribeOptions{}, replyNothing); err != nil {
			t.Error(err)
		}
		return &receiver{s}
	}
	for name, endpoint := range map[string]func(h *hub.Hub) *websocket.Endpoint{
		"loop": func(h *hub.Hub) *websocket.Endpoint {
			return &websocket.Endpoint{Open: func(out websocket.Sender) websocket.Receiver { return join(h, out) }}
		},
		"goroutine": func(h *hub.Hub) *websocket.Endpoint {
			return &websocket.Endpoint{Serve: func(c *websocket.Conn) {
				c.Run(context.Background(), func(out websocket.Sender) websocket.Receiver { return join(h, out) })
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, rules(hub.Namespace{History: count}))
			e := endpoint(h)
			e.Accept.Conn = options
			server := httptest.NewServer(http.Handler(e))
			t.Cleanup(server.Close)
			t.Cleanup(func() { e.Close() })
			var clients []*websocket.Conn
			for range slow + 1 {
				c, err := websocket.Dial(bounded.Context(t), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.CloseNow() })
				clients = append(clients, c)
			}
			bounded.Until(t, func() bool { return h.Sizes().Subscriptions == slow+1 })
			pad := strings.Repeat("x", 2000)
			read := func(c *websocket.Conn) {
				for i := range count {
					m, err := c.Read(bounded.Context(t))
					if err != nil {
						t.Errorf("message %d: %v", i, err)
						return
					}
					if want := fmt.Sprint(i, " ", pad); string(m.Data) != want {
						t.Errorf("message %d is %.20q", i, m.Data)
						return
					}
				}
			}
			var fast sync.WaitGroup
			fast.Go(func() { read(clients[slow]) })
			for i := range count {
				publish(t, h, "c", text(fmt.Sprint(i, " ", pad)))
			}
			fast.Wait()
			if s := h.Stats()[0]; s.Slow < slow {
				t.Errorf("too few subscribers were slow: %+v", s)
			}
			var all sync.WaitGroup
			for _, c := range clients[:slow] {
				all.Go(func() { read(c) })
			}
			all.Wait()
			if s := h.Stats()[0]; s.Insufficient+s.Dropped != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
