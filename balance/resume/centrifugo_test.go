package resume

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/centrifugal/fdelta"
	"github.com/centrifugal/protocol"

	server "github.com/handfast/handfast/centrifugo"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// centrifugoServers serves Centrifugo's protocol on two nodes, and returns their URLs.
func centrifugoServers(t *testing.T) []string {
	t.Helper()
	var urls []string
	for _, h := range nodes(t) {
		centrifugo := &server.Server{Hub: h, App: "dev"}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: server.Subprotocols, Conn: server.ConnOptions()})
			if err == nil {
				c.Run(context.Background(), centrifugo.Open(server.Client{User: "ann"}))
			}
		}))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	return urls
}

// testClient is a client of Centrifugo's protocol.
type testClient struct {
	t      *testing.T
	conn   *websocket.Conn
	format format
	last   uint32
	parts  [][]byte // the unread parts of a message

	base []byte // the data to which the next delta applies
	got  map[string][]int
}

func connectTo(t *testing.T, url string, f format) *testClient {
	t.Helper()
	subprotocol := "centrifuge-json"
	if f.binary {
		subprotocol = "centrifuge-protobuf"
	}
	conn, err := websocket.Dial(bounded.Context(t), url, &websocket.DialOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	c := &testClient{t: t, conn: conn, format: f, got: map[string][]int{}}
	c.call(&protocol.Command{Connect: &protocol.ConnectRequest{}})
	return c
}

// call sends a command and waits for its reply.
func (c *testClient) call(q *protocol.Command) *protocol.Reply {
	c.t.Helper()
	c.last++
	q.Id = c.last
	text, err := c.format.encodeCommand(q)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(bounded.Context(c.t), c.format.message(text).websocket()); err != nil {
		c.t.Fatal(err)
	}
	for {
		r := c.next()
		if r.Error != nil {
			c.t.Fatal(r.Error)
		}
		if r.Id == q.Id {
			return r
		}
	}
}

// next reads a reply or push.
func (c *testClient) next() *protocol.Reply {
	c.t.Helper()
	for len(c.parts) == 0 {
		m, err := c.conn.Read(bounded.Context(c.t))
		if err != nil {
			c.t.Fatal(err)
		}
		for rest := m.Data; len(rest) > 0; {
			part, more, ok := c.format.cut(rest)
			if !ok {
				c.t.Fatalf("%q", m.Data)
			}
			c.parts, rest = append(c.parts, part), more
		}
	}
	r, ok := c.format.reply(c.parts[0])
	if !ok {
		c.t.Fatalf("%q", c.parts[0])
	}
	c.parts = c.parts[1:]
	if r.Push != nil && r.Push.Pub != nil {
		c.publication(r.Push.Pub)
	}
	return r
}

// publication records a publication, whose data is "NAME NUMBER" as a JSON string.
func (c *testClient) publication(p *protocol.Publication) {
	c.t.Helper()
	data := []byte(p.Data)
	if c.base != nil { // deltas were negotiated
		if !c.format.binary {
			var text string
			if err := json.Unmarshal(data, &text); err != nil {
				c.t.Fatal(err)
			}
			data = []byte(text)
		}
		if p.Delta {
			var err error
			if data, err = fdelta.Apply(c.base, data); err != nil {
				c.t.Fatal(err)
			}
		}
		c.base = data
	}
	var name string
	var n int
	if _, err := fmt.Sscanf(strings.Trim(string(data), `"`), "%s %d", &name, &n); err != nil {
		c.t.Fatalf("%s: %v", data, err)
	}
	c.got[name] = append(c.got[name], n)
}

// publish publishes a numbered message, and waits until it is accepted.
func (c *testClient) publish(name string, i int) {
	c.t.Helper()
	data := fmt.Sprintf(`"%s %d %s"`, name, i, strings.Repeat("x", 50))
	c.call(&protocol.Command{Publish: &protocol.PublishRequest{Channel: "chat", Data: protocol.Raw(data)}})
}

// A client behind a relay that repeatedly moves its connection to another server gets all publications, once and in order. The
// client itself publishes only if the moves are planned.
func TestCentrifugoContinues(t *testing.T) {
	for _, f := range []format{{}, {binary: true}} {
		for _, delta := range []string{"", "fossil"} {
			for _, planned := range []bool{false, true} {
				t.Run(fmt.Sprintf("binary=%v,delta=%s,planned=%v", f.binary, delta, planned), func(t *testing.T) {
					checkCentrifugoContinues(t, f, delta, planned)
				})
			}
		}
	}
}

func checkCentrifugoContinues(t *testing.T, f format, delta string, planned bool) {
	const n = 100
	servers := centrifugoServers(t)
	r := &relay{t: t, servers: servers, path: "/connection/websocket", planned: planned}
	moving, still := connectTo(t, r.start(), f), connectTo(t, servers[0]+r.path, format{})
	sub := moving.call(&protocol.Command{Subscribe: &protocol.SubscribeRequest{Channel: "chat", Delta: delta}}).Subscribe
	if sub.Delta != (delta != "") {
		t.Fatalf("got %+v, want delta %v", sub, delta != "")
	}
	if sub.Delta {
		moving.base = []byte{}
	}
	for i := range n {
		still.publish("still", i)
		if planned {
			moving.publish("moving", i)
		} else {
			moving.call(&protocol.Command{History: &protocol.HistoryRequest{Channel: "chat", Limit: 1}})
		}
	}
	for len(moving.got["still"]) < n || planned && len(moving.got["moving"]) < n {
		moving.next()
	}
	for name, values := range moving.got {
		for i, v := range values {
			if v != i || len(values) != n {
				t.Fatalf("%s: message %d of %d: got %d, want %d of %d", name, i, len(values), v, i, n)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.switches < 5 {
		t.Errorf("got %d switches, want 5 at least", r.switches)
	}
	t.Logf("%d switches", r.switches)
}

// The position after a recovery is that of the last recovered publication, even if it is the only one.
func TestPositionAfterRecovery(t *testing.T) {
	for _, offsets := range [][]uint64{nil, {6}, {6, 7}} {
		s := newCentrifugo(Options{Subscriptions: 10, Bytes: 1 << 20})
		r := &protocol.SubscribeResult{Recoverable: true, Recovered: true, Epoch: "e", Offset: 5}
		want := r.Offset
		for _, n := range offsets {
			r.Publications = append(r.Publications, &protocol.Publication{Offset: n})
			want = n
		}
		s.subscribed("a", nil, r, 0)
		if x := s.subs["a"]; x == nil || x.offset != want {
			t.Errorf("%v: %+v, want the offset %d", offsets, x, want)
		}
		r.Recovered = false
		s.subscribed("a", nil, r, 0)
		if x := s.subs["a"]; x == nil || x.offset != r.Offset {
			t.Errorf("%v, not recovered: %+v, want the offset %d", offsets, x, r.Offset)
		}
	}
}
