package resume

import (
	"context"
	"encoding/json"
	"errors"
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

// channelServers serves handfast.v1.json on two nodes, and returns their URLs.
func channelServers(t *testing.T) []string {
	t.Helper()
	var urls []string
	for _, h := range nodes(t) {
		channels := &server.Server{Hub: h, App: "dev"}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: server.ConnOptions()})
			if err == nil {
				c.Run(context.Background(), channels.Open(server.Client{}))
			}
		}))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	return urls
}

// Two clients publish numbered messages: one behind a relay that repeatedly moves its connection to another server, and one
// that is connected directly to a server. The client behind the relay gets all messages once and in order, and does not reconnect.
func TestChannelsContinue(t *testing.T) {
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
					t.Errorf("got event %+v, want a message", e)
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
						t.Fatalf("%s: message %d of %d: got %s, want %d of %d", name, i, len(values), v, i, n)
					}
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if connected.Load() != 1 || r.switches < 10 {
				t.Errorf("got %d connections and %d switches, want 1 and 10 at least", connected.Load(), r.switches)
			}
			t.Logf("%d switches", r.switches)
		})
	}
}

// A client gets exactly the right messages although it uses every difficult feature: several unanswered commands, publications
// without an ID and without a message ID, publications without an echo, and the changes of members.
func TestChannelsContinueExactly(t *testing.T) {
	const n = 200
	servers := channelServers(t)
	r := &relay{t: t, servers: servers}
	ctx := bounded.Context(t)
	conn, err := websocket.Dial(ctx, r.start(), &websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	c := &exactClient{t: t, conn: conn, replies: map[uint64]string{}}
	c.next()
	c.send(&wire.Subscribe{Head: wire.Head{Type: "subscribe", ID: 1, Channel: "chat"}, Join: true, Members: 100, Changes: true})
	for c.replies[1] == "" {
		c.next()
	}
	still := client.New(servers[1], nil)
	defer still.Close()
	sub, err := still.Subscribe(ctx, "chat", &client.SubscribeOptions{Join: true, Data: []byte("-1"), Handle: func(client.Event) {}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c.publish(i)
		if i%3 == 0 {
			if err := sub.Update(ctx, []byte(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		for len(c.replies) < i/2-5 || i > 10 && c.loud < i/4 {
			c.next()
		}
	}
	c.send(&wire.Ping{Head: wire.Head{Type: "ping", ID: 1_000_000}})
	for c.replies[1_000_000] == "" || c.loud < n*3/4 || c.member < (n-1)/3*3 {
		c.next()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(c.replies) != 2+n/2 || r.switches < 5 {
		t.Errorf("got %d replies and %d switches, want %d and 5 at least", len(c.replies), r.switches, 2+n/2)
	}
	if c.back > r.switches {
		t.Errorf("got %d earlier updates after later ones, want %d at most, one for each switch", c.back, r.switches)
	}
	t.Logf("%d switches", r.switches)
}

// exactClient is a client that checks every received message.
type exactClient struct {
	t       *testing.T
	conn    *websocket.Conn
	name    string
	replies map[uint64]string // the types of the expected replies, by ID
	at      uint64            // the offset of the last message
	last    int               // the number of the last message
	loud    int               // number of messages
	member  int               // the number in the other member's data
	back    int               // how often member was lower than before, as the list of the next server may be behind
	other   string            // the other member's name
}

func (c *exactClient) send(cmd wire.Command) {
	c.t.Helper()
	text, err := wire.Encode(cmd)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(bounded.Context(c.t), websocket.Message{Type: websocket.Text, Data: text}); err != nil {
		c.t.Fatal(err)
	}
}

// publish publishes message i, in one of four ways.
func (c *exactClient) publish(i int) {
	p := &wire.Publish{Head: wire.Head{Type: "publish", Channel: "chat"}, Data: []byte(strconv.Itoa(i))}
	switch i % 4 {
	case 0:
		p.ID = uint64(i + 10)
	case 1:
		p.MessageID = "mine-" + strconv.Itoa(i)
	case 2:
		p.ID, p.Echo = uint64(i+10), new(bool)
	}
	c.send(p)
}

// next reads a message of the server.
func (c *exactClient) next() {
	c.t.Helper()
	m, err := c.conn.Read(bounded.Context(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	var h wire.Head
	var w wire.Message
	var ch wire.Change
	if err := errors.Join(json.Unmarshal(m.Data, &h), json.Unmarshal(m.Data, &w), json.Unmarshal(m.Data, &ch)); err != nil {
		c.t.Fatal(err)
	}
	switch {
	case h.Type == "welcome" && c.name == "":
		c.name = w.Client
	case h.Type == "message":
		i, err := strconv.Atoi(string(w.Data))
		if err != nil || i%4 == 2 || c.loud > 0 && i <= c.last || w.Client != c.name || w.Offset <= c.at {
			c.t.Fatalf("got %s after message %d, want a later one", m.Data, c.last)
		}
		c.last, c.at = i, w.Offset
		c.loud++
	case h.Type == "join" && c.other == "":
		c.other, c.member = ch.Member.User, -1
	case h.Type == "update" && ch.Member.User == c.other:
		i, err := strconv.Atoi(string(ch.Member.Data))
		if err != nil || i == c.member {
			c.t.Fatalf("got %s after update %d, want another one", m.Data, c.member)
		}
		if i < c.member {
			c.back++
		}
		c.member = i
	case (h.Type == "subscribed" || h.Type == "published" || h.Type == "pong") && h.ID != 0 && c.replies[h.ID] == "":
		c.replies[h.ID] = h.Type
	default:
		c.t.Fatalf("got an unexpected message: %s", m.Data)
	}
}
