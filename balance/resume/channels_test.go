package resume

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	server "github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// nodes returns the hubs of two servers with one engine.
func nodes(t *testing.T) []*hub.Hub {
	t.Helper()
	engine := hub.NewMemory()
	var all []*hub.Hub
	for range 2 {
		h := hub.New(hub.Options{Engine: engine.Node(), Namespaces: []hub.Namespace{{History: 10_000, Presence: true}}})
		t.Cleanup(func() { h.Close() })
		all = append(all, h)
	}
	return all
}

// channelServers serves handfast.v1.json at two nodes, and returns their URLs.
func channelServers(t *testing.T) []string {
	t.Helper()
	var urls []string
	for _, h := range nodes(t) {
		channels := &server.Server{Hub: h, App: "dev"}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: server.ConnOptions()})
			if err == nil {
				c.Run(context.Background(), channels.Open(server.Client{User: "ann"}))
			}
		}))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	return urls
}

// A client behind a relay that takes its connection to another server all the time publishes numbered messages, and so does one that is
// directly at a server. The first one gets all of them once and in order, and does not connect again.
func TestChannelsGoOn(t *testing.T) {
	for name, planned := range map[string]bool{"lost": false, "planned": true} {
		t.Run(name, func(t *testing.T) {
			servers := channelServers(t)
			r := &relay{t: t, servers: servers, path: "", planned: planned}
			var connected atomic.Int32
			moving := client.New(r.start(), &client.Options{Connected: func(client.Welcome) { connected.Add(1) }})
			defer moving.Close()
			still := client.New(servers[0], nil)
			defer still.Close()
			ctx, n := bounded.Context(t), 300
			got, all := map[string][]string{}, make(chan struct{})
			seen := 0
			_, err := moving.Subscribe(ctx, "chat", &client.SubscribeOptions{Join: true, Handle: func(e client.Event) {
				if e.Message == nil {
					t.Errorf("event %+v", e)
					return
				}
				got[e.Message.Event] = append(got[e.Message.Event], string(e.Message.Data))
				if seen++; seen == 2*n {
					close(all)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for name, c := range map[string]*client.Client{"moving": moving, "still": still} {
				wg.Go(func() {
					for i := range n {
						_, err := c.Publish(ctx, "chat", []byte(strconv.Itoa(i)), &client.PublishOptions{Event: name})
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			bounded.Receive(t, all)
			for name, values := range got {
				for i, v := range values {
					if v != strconv.Itoa(i) || len(values) != n {
						t.Fatalf("%s: message %d of %d is %s", name, i, len(values), v)
					}
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if connected.Load() != 1 || r.switches < 10 {
				t.Errorf("%d connections, %d switches", connected.Load(), r.switches)
			}
			t.Logf("%d switches", r.switches)
		})
	}
}
