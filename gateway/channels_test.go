package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// The package of the protocol and the package of the sessions do not import each other, but a client of channels has to understand the
// code with which a session ends.
func TestChannelsCodeOfExpiredCredential(t *testing.T) {
	if wire.CloseExpired != auth.CodeExpired {
		t.Errorf("the protocol names %d, and sessions end with %d", wire.CloseExpired, auth.CodeExpired)
	}
}

// sendCommand sends a command, and returns the next message.
func sendCommand(t *testing.T, c *websocket.Conn, command string) string {
	t.Helper()
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(command)}); err != nil {
		t.Fatal(err)
	}
	return readText(t, c)
}

// readText returns the next message.
func readText(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	m, err := c.Read(bounded.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Data)
}

func wantParts(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("got %s, want %s", got, p)
		}
	}
}

// Without a file, a server provides channels to all clients, with history and members.
func TestChannelsByDefault(t *testing.T) {
	r := run(t, plainConfig("127.0.0.1:0"))
	a := r.open(t, "/channels", &websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
	if got := a.Handshake().Subprotocol; got != wire.Subprotocol {
		t.Errorf("subprotocol %q", got)
	}
	wantParts(t, readText(t, a), `"type":"welcome"`)
	wantParts(t, sendCommand(t, a, `{"type":"publish","id":1,"channel":"chat","data":1}`), `"published"`)
	b := r.open(t, "/channels", nil) // no subprotocol
	if welcome := readText(t, b); strings.Contains(welcome, `"user"`) {
		t.Error(welcome)
	}
	wantParts(t, sendCommand(t, b, `{"type":"history","id":1,"channel":"chat","limit":10}`), `"data":1`)
	wantParts(t, sendCommand(t, b, `{"type":"subscribe","id":2,"channel":"chat","join":true}`), `"subscribed"`, `"users":1`)
	wantParts(t, sendCommand(t, a, `{"type":"publish","id":2,"channel":"chat","data":2}`), `"published"`)
	wantParts(t, readText(t, b), `"data":2`)
	wantParts(t, sendCommand(t, b, `{"type":"refresh","id":3,"token":"x"}`), `"code":"unsupported"`)
	e := r.refuse(t, "/channels", &websocket.DialOptions{Subprotocols: []string{"other"}})
	if e.Status != 400 || !strings.Contains(string(e.Body), wire.Subprotocol) {
		t.Errorf("%d %s", e.Status, e.Body)
	}
}

// With a file, each action needs a rule; two endpoints share the channels of an application.
func TestChannelsRules(t *testing.T) {
	r := run(t, parse(t, users+`
	- name: rooms
	  path: /rooms
	  target: channels
	  auth: [users]
	  rules:
	    - {actions: [connect], do: allow}
	    - {actions: [subscribe, publish], channels: ["chat-*"], do: allow}
	    - {actions: [history], when: '"admin" in claims.roles', do: allow}
	- {name: closed, path: /closed, target: channels, auth: [anonymous]}
	- {name: apart, path: /apart, target: {channels: {app: other}}, auth: [anonymous], rules: [{do: allow}]}
apps: [{id: main, secret: a}, {id: other, secret: b}]
`, key))
	ann := r.open(t, "/rooms", withToken(token("ann", time.Hour, map[string]any{"roles": []string{"admin"}})))
	wantParts(t, readText(t, ann), `"user":"ann"`, `"expires_in":`)
	bob := r.open(t, "/rooms", withToken(token("bob", time.Hour, nil)))
	readText(t, bob)
	wantParts(t, sendCommand(t, bob, `{"type":"subscribe","id":1,"channel":"chat-1"}`), `"subscribed"`)
	wantParts(t, sendCommand(t, bob, `{"type":"subscribe","id":2,"channel":"news"}`), `"code":"denied"`)
	wantParts(t, sendCommand(t, bob, `{"type":"history","id":3,"channel":"chat-1"}`), `"code":"denied"`)
	wantParts(t, sendCommand(t, ann, `{"type":"publish","id":1,"channel":"chat-1","data":1}`), `"published"`)
	wantParts(t, sendCommand(t, ann, `{"type":"history","id":2,"channel":"chat-1","limit":1}`), `"data":1`)
	wantParts(t, readText(t, bob), `"data":1`, `"user":"ann"`)

	closed := r.open(t, "/closed", nil)
	readText(t, closed)
	wantParts(t, sendCommand(t, closed, `{"type":"subscribe","id":1,"channel":"chat-1"}`), `"code":"denied"`)
	apart := r.open(t, "/apart", nil)
	readText(t, apart)
	wantParts(t, sendCommand(t, apart, `{"type":"history","id":1,"channel":"chat-1","limit":1}`), `"messages":[]`)
}

// A token is renewed on an open connection, only for the same user.
func TestChannelsRenewal(t *testing.T) {
	r := run(t, parse(t, users+`
	- {name: rooms, path: /rooms, target: channels, auth: [users], expiry: {warn: 1h},
	   rules: [{do: allow, actions: [connect, subscribe]}, {do: allow, when: '"writer" in (claims.roles ?? [])'}]}
apps: [{id: main, secret: a}]
`, key))
	c := r.open(t, "/rooms", withToken(token("ann", time.Minute, map[string]any{"jti": "first"})))
	readText(t, c)
	wantParts(t, readText(t, c), `"type":"refresh"`, `"expires_in":`) // the warning comes immediately, because the token expires in less than an hour
	renew := func(token string) string {
		text, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		return sendCommand(t, c, fmt.Sprintf(`{"type":"refresh","id":1,"token":%s}`, text))
	}
	const write = `{"type":"publish","id":2,"channel":"chat","data":1}`
	wantParts(t, sendCommand(t, c, write), `"code":"denied"`)
	wantParts(t, renew("nonsense"), `"code":"denied"`)
	wantParts(t, renew(token("bob", 3*time.Hour, nil)), `"code":"denied"`)
	wantParts(t, renew(token("ann", -time.Hour, nil)), `"code":"denied"`)
	var done struct {
		Type string `json:"type"`
		In   int    `json:"expires_in"`
	}
	got := renew(token("ann", 3*time.Hour, map[string]any{"jti": "second", "roles": []string{"writer"}}))
	if err := json.Unmarshal([]byte(got), &done); err != nil || done.Type != "done" || done.In < 10_000 || done.In > 10_800 {
		t.Error(got)
	}
	wantParts(t, sendCommand(t, c, write), `"published"`) // allowed by the rules for the new token
	list := r.conns.List(registry.Filter{})
	if len(list) != 1 {
		t.Fatal(list)
	}
	if who := list[0].Who(); who.ID != "second" || time.Until(who.Expires) < 2*time.Hour {
		t.Errorf("%q until %v", who.ID, who.Expires)
	}
}

// A reload keeps the channels and their subscribers.
func TestChannelsReload(t *testing.T) {
	const text = "endpoints: [{name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}], max_message: %dKiB}]\n" +
		"hub: {namespaces: [{history: %d}]}\napps: [{id: main, secret: a}]\n"
	r := run(t, parse(t, fmt.Sprintf(text, 64, 5)))
	c := r.open(t, "/rooms", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"chat"}`), `"subscribed"`)
	if err := r.Reload(bounded.Context(t), parse(t, fmt.Sprintf(text, 32, 6))); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, &r.log, "next start", "setting=hub")
	other := r.open(t, "/rooms", nil)
	readText(t, other)
	wantParts(t, sendCommand(t, other, `{"type":"publish","id":1,"channel":"chat","data":1}`), `"published"`)
	wantParts(t, readText(t, c), `"data":1`)
}
