package gosdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	library "github.com/centrifugal/centrifuge"
	"github.com/centrifugal/centrifuge-go"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// personal is the channel to which a server subscribes each client.
const personal = "personal"

// node is a node of the centrifuge library whose history and presence are in Redis.
func node(t *testing.T, redis *redistest.Server) *library.Node {
	t.Helper()
	n, err := library.New(library.Config{})
	if err != nil {
		t.Fatal(err)
	}
	shard, err := library.NewRedisShard(n, library.RedisShardConfig{Address: redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	broker, err := library.NewRedisBroker(n, library.RedisBrokerConfig{Shards: []*library.RedisShard{shard}})
	if err != nil {
		t.Fatal(err)
	}
	presence, err := library.NewRedisPresenceManager(n, library.RedisPresenceManagerConfig{Shards: []*library.RedisShard{shard}})
	if err != nil {
		t.Fatal(err)
	}
	n.SetBroker(broker)
	n.SetPresenceManager(presence)
	recovered := library.SubscribeOptions{EnableRecovery: true, EmitPresence: true}
	n.OnConnecting(func(_ context.Context, e library.ConnectEvent) (library.ConnectReply, error) {
		return library.ConnectReply{
			Credentials: &library.Credentials{UserID: e.Name}, Subscriptions: map[string]library.SubscribeOptions{personal: recovered},
		}, nil
	})
	n.OnConnect(func(c *library.Client) {
		c.OnSubscribe(func(_ library.SubscribeEvent, reply library.SubscribeCallback) {
			reply(library.SubscribeReply{Options: recovered}, nil)
		})
		c.OnPublish(func(_ library.PublishEvent, reply library.PublishCallback) {
			reply(library.PublishReply{Options: library.PublishOptions{HistorySize: 1000, HistoryTTL: time.Hour}}, nil)
		})
		c.OnPresence(func(_ library.PresenceEvent, reply library.PresenceCallback) { reply(library.PresenceReply{}, nil) })
	})
	if err := n.Run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.Shutdown(bounded.Context(t))
		shard.Close()
	})
	return n
}

// original is a server that uses the centrifuge library.
type original struct {
	http *http.Server
	addr string

	mu    sync.Mutex
	conns []net.Conn
}

func newOriginal(t *testing.T, redis *redistest.Server) *original {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &original{addr: l.Addr().String()}
	o.http = &http.Server{
		Handler:           library.NewWebsocketHandler(node(t, redis), library.WebsocketConfig{}),
		ReadHeaderTimeout: harness.Patience,
		ConnState: func(nc net.Conn, s http.ConnState) {
			if s == http.StateHijacked {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.conns = append(o.conns, nc)
			}
		},
	}
	go func() { _ = o.http.Serve(l) }()
	t.Cleanup(o.kill)
	return o
}

// kill has the effect of kill -9: all connections are reset, and the server accepts no new ones.
func (o *original) kill() {
	_ = o.http.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, nc := range o.conns {
		_ = nc.(*net.TCPConn).SetLinger(0) // fails if the connection has already ended
		_ = nc.Close()
	}
}

// front is a balancer in front of originals that holds the clients' connections.
type front struct {
	*server
	admin string
}

func newFront(t *testing.T, servers ...*original) *front {
	t.Helper()
	u := harness.NewUser(t)
	f := &front{&server{t, "127.0.0.1:" + harness.FreePort(t)}, "127.0.0.1:" + harness.FreePort(t)}
	to := ""
	for _, o := range servers {
		to += fmt.Sprintf(", %q", o.addr)
	}
	u.Write("handfast.yaml", fmt.Sprintf(`
listen: [{address: %q, tls: off}]
admin: {address: %q}
endpoints:
  - path: /connection/websocket
    target: {balance: {to: [%s], policy: round_robin, hold: resume, drain: {per_second: 1000}}}
    auth: [anonymous]
`, f.host, f.admin, to[2:]))
	u.Serve("--config", "handfast.yaml")
	return f
}

// ask queries the admin listener, and returns the number of connections of each server.
func (f *front) ask(method, path string, q url.Values) map[string]int {
	f.t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(f.t), method, "http://"+f.admin+path+"?"+q.Encode(), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b struct {
		Endpoints []struct {
			Servers []struct {
				ID   string
				Live int
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&b); err != nil || len(b.Endpoints) != 1 {
		f.t.Fatalf("%s %s: %d, %v", method, path, resp.StatusCode, err)
	}
	live := map[string]int{}
	for _, s := range b.Endpoints[0].Servers {
		live[s.ID] = s.Live
	}
	return live
}

// has waits until a server has n connections.
func (f *front) has(o *original, n int) {
	f.t.Helper()
	bounded.Until(f.t, func() bool { return f.ask(http.MethodGet, "/balance", nil)["ws://"+o.addr] == n })
}

// Clients of servers that use the centrifuge library stay connected to a balancer while a server drains, and when a server is killed.
// The clients see no disconnect, receive all publications once and in order, and keep their client IDs.
func TestHeldByCentrifugeServers(t *testing.T) {
	const each = 3 // number of clients with each format
	redis := redistest.Start(t, "")
	application := node(t, redis)
	a, b := newOriginal(t, redis), newOriginal(t, redis)
	f := newFront(t, a, b)
	var clients []*client
	var names []string
	var subs []*subscription
	for _, of := range formats {
		for range each {
			c := f.client(of, centrifuge.Config{Name: fmt.Sprint("user-", len(clients))})
			names = append(names, bounded.Receive(t, c.connected).ClientID)
			if channel := bounded.Receive(t, c.put); channel != personal {
				t.Fatalf("subscribed to %s", channel)
			}
			sub := c.subscribe("news", centrifuge.SubscriptionConfig{Recoverable: true})
			bounded.Receive(t, sub.subscribed)
			clients, subs = append(clients, c), append(subs, sub)
		}
	}
	f.has(a, each)
	f.has(b, each)

	published := 0
	publish := func() (data string) {
		published++
		data = fmt.Sprint(published)
		for _, channel := range []string{"news", personal} {
			if _, err := application.Publish(channel, []byte(data), library.WithHistory(1000, time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		return data
	}
	seen := 0
	arrives := func() { // waits until each client has received all publications
		t.Helper()
		for ; seen < published; seen++ {
			want := fmt.Sprint(seen + 1)
			for i, c := range clients {
				subs[i].want(t, want)
				if p := bounded.Receive(t, c.publications); string(p.Data) != want {
					t.Fatalf("got %s in %s, want %s", p.Data, personal, want)
				}
			}
		}
	}
	check := func(what string) {
		t.Helper()
		arrives()
		for i, c := range clients {
			if len(c.connecting)+len(c.disconnected)+len(c.connected)+len(c.put)+len(subs[i].subscribed)+len(subs[i].unsubscribed)+len(subs[i].errors) != 0 ||
				len(subs[i].publications)+len(c.publications) != 0 {
				t.Fatalf("%s: the client has received an unexpected event", what)
			}
		}
	}
	during := func(what string, until func() bool) {
		t.Helper()
		bounded.Until(t, func() bool {
			publish()
			arrives()
			return until()
		})
		check(what)
	}
	on := func(o *original) func() bool {
		return func() bool { return f.ask(http.MethodGet, "/balance", nil)["ws://"+o.addr] == len(clients) }
	}

	f.ask(http.MethodPost, "/balance/drain", url.Values{"server": {a.addr}})
	during("the drain", on(b))
	for i, sub := range subs { // each client can still publish, and is a member of the channel with its own name
		if _, err := sub.Publish(bounded.Context(t), []byte(fmt.Sprint(published+1))); err != nil {
			t.Fatal(err)
		}
		published++
		if _, err := application.Publish(personal, []byte(fmt.Sprint(published)), library.WithHistory(1000, time.Hour)); err != nil {
			t.Fatal(err)
		}
		arrives()
		bounded.Until(t, func() bool { // the presence entries of abandoned connections expire later
			p, err := sub.Presence(bounded.Context(t))
			if err != nil {
				t.Fatal(err)
			}
			return len(p.Clients) == len(clients) && p.Clients[names[i]].User == fmt.Sprint("user-", i)
		})
	}
	check("after the drain")

	f.ask(http.MethodDelete, "/balance/drain", url.Values{"server": {a.addr}})
	for range 20 { // some publications are in flight when the server is killed
		publish()
	}
	b.kill()
	during("the death of the other", on(a))
	for range 10 {
		publish()
	}
	check("the end")
}
