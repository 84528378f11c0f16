//go:build e2e

package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/house"
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

	alice, bob := talk(t, near, "alice"), talk(t, far, "bob")
	alice.say(`{"type": "subscribe", "id": 1, "channel": "room", "join": true, "data": {"name": "Alice"}}`)
	alice.hear("subscribed")
	bob.say(`{"type": "subscribe", "id": 1, "channel": "room", "members": 10, "changes": true}`)
	if r := bob.hear("subscribed"); r.Users != 1 || len(r.Members) != 1 || r.Members[0].User != "alice" {
		t.Errorf("the members at the other server: %+v", r)
	}
	alice.say(`{"type": "publish", "id": 2, "channel": "room", "data": "one"}`)
	first := alice.hear("published").Position
	if m := bob.hear("message"); m.Data != "one" || m.User != "alice" || m.Offset != first.Offset {
		t.Errorf("%+v", m)
	}
	bob.say(`{"type": "history", "id": 2, "channel": "room", "limit": 10}`)
	if r := bob.hear("history"); len(r.Messages) != 1 || r.Messages[0].Data != "one" || r.Position != first {
		t.Errorf("the history at the other server: %+v", r)
	}

	redis.Stop()
	redis.Restart()
	alice.say(`{"type": "publish", "id": 3, "channel": "room", "data": "two"}`)
	if second := alice.hear("published").Position; second.Epoch != first.Epoch || second.Offset != first.Offset+1 {
		t.Errorf("%+v follows %+v", second, first)
	}
	if m := bob.hear("message"); m.Data != "two" {
		t.Errorf("after a restart of the Redis: %+v", m)
	}
	carol := talk(t, far, "carol")
	carol.say(fmt.Sprintf(`{"type": "subscribe", "id": 1, "channel": "room", "since": {"epoch": %q, "offset": %d}}`, first.Epoch, first.Offset))
	if r, m := carol.hear("subscribed"), carol.hear("message"); !r.Recovered || m.Data != "two" {
		t.Errorf("%+v, %+v", r, m)
	}

	killed := time.Now()
	near.Stop(syscall.SIGKILL)
	if m := bob.hear("leave"); m.Member.User != "alice" {
		t.Errorf("%+v", m)
	}
	t.Logf("its member has left %v after a server was killed", time.Since(killed).Round(time.Millisecond))
}

// ready waits until the server is ready.
func (s *server) ready(t *testing.T) {
	t.Helper()
	house.Until(t, "the server is ready; "+s.Log.String(), func() bool {
		status, _ := s.admin(t, "/readyz")
		return status == "200"
	})
}

// talker is a client that speaks handfast.v1.json.
type talker struct {
	t    *testing.T
	conn *websocket.Conn
}

func talk(t *testing.T, s *server, user string) *talker {
	t.Helper()
	c := &talker{t, dial(t, s.url("channels"), as(token(user, time.Hour)))}
	c.hear("welcome")
	return c
}

func (c *talker) say(text string) {
	c.t.Helper()
	if err := c.conn.Write(bounded.Context(c.t), websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
		c.t.Fatal(err)
	}
}

// heard contains the fields of a server's message that these tests use.
type heard struct {
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

// hear returns the next message of the type kind. An error message, or a report of missed messages, fails the test.
func (c *talker) hear(kind string) (m heard) {
	c.t.Helper()
	for m.Type != kind {
		got, err := c.conn.Read(bounded.Context(c.t))
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", kind, err)
		}
		m = heard{}
		if err := json.Unmarshal(got.Data, &m); err != nil || m.Type == "error" || m.Type == "unsubscribed" || strings.Contains(string(got.Data), `"why"`) {
			c.t.Fatalf("waiting for %s: %s, %v", kind, got.Data, err)
		}
	}
	return m
}
