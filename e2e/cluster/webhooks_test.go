//go:build e2e

package cluster

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/websocket"
)

// receiver is an application's server. It rejects the first away requests, as if the application was still starting.
type receiver struct {
	mu     sync.Mutex
	away   int
	seen   map[string]int // number of events by description
	forged int
}

const appSecret = "5d2a8f0c6b7e4a19"

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := io.ReadAll(req.Body)
	if r.away > 0 || err != nil {
		r.away--
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	m := hmac.New(sha256.New, []byte(appSecret))
	m.Write([]byte(req.Header.Get("Handfast-Timestamp") + "."))
	m.Write(text)
	if req.Header.Get("Handfast-Signature") != "sha256="+hex.EncodeToString(m.Sum(nil)) {
		r.forged++
	}
	var body struct {
		Events []struct{ Type, Channel, Client, Reason string }
	}
	if json.Unmarshal(text, &body) != nil {
		r.forged++
	}
	for _, e := range body.Events {
		r.seen[fmt.Sprintf("%s %s%s%s", e.Type, e.Client, e.Channel, e.Reason)]++
	}
}

func (r *receiver) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[what]
}

// join connects to a node and subscribes to the channel room. It returns the client's name.
func (n *node) join(t *testing.T) (c *websocket.Conn, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	c, err := websocket.Dial(ctx, "ws://"+n.address+"/channels", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	var got struct{ Type, Client string }
	m, err := c.Read(ctx)
	if err == nil {
		err = json.Unmarshal(m.Data, &got)
	}
	if err != nil || got.Type != "welcome" {
		t.Fatalf("%+v, %v", got, err)
	}
	err = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(`{"type":"subscribe","id":1,"channel":"room"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return c, got.Client
}

// Signed webhooks report client events to an application, even if the application was unavailable for a moment. When one of three nodes
// is killed, the disconnect of its client is reported once.
func TestWebhooksOfAKilledNode(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { webhooksOfAKilledNode(t, e.start(t, nil)) })
	}
}

func webhooksOfAKilledNode(t *testing.T, engine *backend) {
	app := &receiver{away: 2, seen: map[string]int{}}
	hooks := httptest.NewServer(app)
	t.Cleanup(hooks.Close)
	var nodes []*node
	for i := range 3 {
		u := harness.NewUser(t)
		n := &node{u: u, address: net.JoinHostPort("127.0.0.1", harness.FreePort(t)), admin: net.JoinHostPort("127.0.0.1", harness.FreePort(t))}
		text := fmt.Sprintf(config, n.address, n.admin) + fmt.Sprintf("webhooks: [{url: %q}]\n", hooks.URL)
		n.args = append([]string{"--config", u.Write("handfast.yaml", text)}, engine.args(i)...)
		n.start()
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		harness.Until(t, "it is ready", func() bool { return n.get("/readyz") == "ok\n" })
	}
	_, killed := nodes[0].join(t)
	for _, want := range []string{"connected " + killed, "subscribed " + killed + "room", "occupied room"} {
		harness.Until(t, want, func() bool { return app.count(want) == 1 })
	}
	nodes[0].kill()
	lost := "disconnected " + killed + "node"
	harness.Until(t, lost, func() bool { return app.count(lost) > 0 })

	nodes[0].start()
	harness.Until(t, "it is ready", func() bool { return nodes[0].get("/readyz") == "ok\n" })
	for _, n := range nodes {
		c, id := n.join(t)
		harness.Until(t, "subscribed "+id, func() bool { return app.count("subscribed "+id+"room") == 1 })
		c.CloseNow()
		harness.Until(t, "disconnected "+id, func() bool { return app.count("disconnected "+id+"client") == 1 })
	}
	if n := app.count(lost); n != 1 {
		t.Errorf("the disconnect was reported %d times", n)
	}
	if app.forged > 0 {
		t.Errorf("%d requests were not signed properly: %v", app.forged, app.seen)
	}
	for _, n := range nodes {
		if code := n.server.Stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit status %d", code)
		}
	}
}
