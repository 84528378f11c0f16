//go:build e2e

package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
	"github.com/handfast/handfast/websocket"
)

// Two servers with one Redis share messages, history and members. The servers start before Redis does, Redis is restarted, and one
// server is killed.
func TestServersOnOneRedis(t *testing.T) {
	redis := redistest.Start(t, "appendonly yes\nappendfsync always\n")
	redis.Stop() // Redis is started again when the servers are running
	url := fmt.Sprintf("redis://:%s@%s/1", secret(redistest.Password), redis.Addr())
	config := fmt.Sprintf(`
listen: [{address: "127.0.0.1:0", tls: off}]
admin: {address: "127.0.0.1:0"}
auth:
	users: {jwt: {secret: "%s", from: [bearer]}}
apps: [{id: shop, secret: "%s"}]
endpoints: [{name: channels, path: /channels, target: channels, auth: [users],
		rules: [{actions: [connect, subscribe, publish, presence, history], do: allow}]}]
hub: {engine: {redis: {url: "%s"}}, namespaces: [{presence: true}]}
`, key, secret("the-secret-of-the-application-shop"), url)
	near, far := serve(t, config), serve(t, config)
	nodes := []*server{near, far}
	for _, n := range nodes {
		n.logged(t, "trouble with the engine of channels", "there is no connection", "refused")
		if status, _ := n.admin(t, "/readyz"); status != "503" {
			t.Errorf("/readyz without a Redis: %s", status)
		}
	}
	redis.Restart()
	for _, n := range nodes {
		n.ready(t)
		n.logged(t, "level=INFO", "the engine of channels is ready")
	}

	alice, bob := dialChannels(t, near, "alice"), dialChannels(t, far, "bob")
	alice.send(`{"type": "subscribe", "id": 1, "channel": "room", "join": true, "data": {"name": "Alice"}}`)
	alice.waitMessage("subscribed")
	bob.send(`{"type": "subscribe", "id": 1, "channel": "room", "members": 10, "changes": true}`)
	if r := bob.waitMessage("subscribed"); r.Users != 1 || len(r.Members) != 1 || r.Members[0].User != "alice" {
		t.Errorf("the members at the other server: %+v", r)
	}
	alice.send(`{"type": "publish", "id": 2, "channel": "room", "data": "one"}`)
	first := alice.waitMessage("published").Position
	if m := bob.waitMessage("message"); m.Data != "one" || m.User != "alice" || m.Offset != first.Offset {
		t.Errorf("%+v", m)
	}
	bob.send(`{"type": "history", "id": 2, "channel": "room", "limit": 10}`)
	if r := bob.waitMessage("history"); len(r.Messages) != 1 || r.Messages[0].Data != "one" || r.Position != first {
		t.Errorf("the history at the other server: %+v", r)
	}

	redis.Stop()
	redis.Restart()
	alice.send(`{"type": "publish", "id": 3, "channel": "room", "data": "two"}`)
	if second := alice.waitMessage("published").Position; second.Epoch != first.Epoch || second.Offset != first.Offset+1 {
		t.Errorf("%+v follows %+v", second, first)
	}
	if m := bob.waitMessage("message"); m.Data != "two" {
		t.Errorf("after a restart of the Redis: %+v", m)
	}
	carol := dialChannels(t, far, "carol")
	carol.send(fmt.Sprintf(`{"type": "subscribe", "id": 1, "channel": "room", "since": {"epoch": %q, "offset": %d}}`, first.Epoch, first.Offset))
	if r, m := carol.waitMessage("subscribed"), carol.waitMessage("message"); !r.Recovered || m.Data != "two" {
		t.Errorf("%+v, %+v", r, m)
	}

	killed := time.Now()
	near.Stop(syscall.SIGKILL)
	if m := bob.waitMessage("leave"); m.Member.User != "alice" {
		t.Errorf("%+v", m)
	}
	t.Logf("its member has left %v after a server was killed", time.Since(killed).Round(time.Millisecond))
}

// ready waits until the server is ready.
func (s *server) ready(t *testing.T) {
	t.Helper()
	harness.Until(t, "the server is ready; "+s.Log.String(), func() bool {
		status, _ := s.admin(t, "/readyz")
		return status == "200"
	})
}

// channelsClient is a client that speaks handfast.v1.json.
type channelsClient struct {
	t    *testing.T
	conn *websocket.Conn
}

func dialChannels(t *testing.T, s *server, user string) *channelsClient {
	t.Helper()
	c := &channelsClient{t, dial(t, s.url("channels"), as(token(user, time.Hour)))}
	c.waitMessage("welcome")
	return c
}

func (c *channelsClient) send(text string) {
	c.t.Helper()
	if err := c.conn.Write(bounded.Context(c.t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		c.t.Fatal(err)
	}
}

// serverMessage contains the fields of a server's message that these tests use.
type serverMessage struct {
	Type, Data, User string
	Offset           uint64
	Position         struct {
		Epoch  string
		Offset uint64
	}
	Recovered bool
	Users     int
	Member    struct{ User string }
	Members   []struct{ User string }
	Messages  []struct{ Data string }
}

// waitMessage returns the next message of the type kind. An error message, or a report of missed messages, fails the test.
func (c *channelsClient) waitMessage(kind string) (m serverMessage) {
	c.t.Helper()
	for m.Type != kind {
		got, err := c.conn.Read(bounded.Context(c.t))
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", kind, err)
		}
		m = serverMessage{}
		if err := json.Unmarshal(got.Data, &m); err != nil || m.Type == "error" || m.Type == "unsubscribed" || strings.Contains(string(got.Data), `"why"`) {
			c.t.Fatalf("waiting for %s: %s, %v", kind, got.Data, err)
		}
	}
	return m
}
