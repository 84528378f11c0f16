package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

const shop = `
endpoints:
- {name: cf, path: /connection/websocket, target: {centrifugo: {app: shop}}, auth: [anonymous], rules: [{do: allow}], limits: {connections_per_identity: 3}}
apps: [{id: shop, key: k, secret: s}]
`

// connectWith returns a connect command with a token.
func connectWith(token string) string { return `{"id":1,"connect":{"token":"` + token + `"}}` }

// tokenIssuedAt returns a user's token whose iat claim is ahead seconds in the future, as from a clock that is fast.
func tokenIssuedAt(user string, ahead int64, more string) string {
	return appToken("s", fmt.Sprintf(`{"sub":%q,"iat":%d%s}`, user, time.Now().Unix()+ahead, more))
}

// When an operator revokes a user's tokens, the user's connections are closed, including those over HTTP, and earlier tokens are
// rejected for connecting, subscribing and renewal.
func TestCentrifugoRevoked(t *testing.T) {
	r := run(t, parse(t, shop))
	old := tokenIssuedAt("ann", 0, "")
	ann, bob := r.open(t, "/connection/websocket", nil), r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, ann, connectWith(old)), `"client":"`)
	wantParts(t, sendCommand(t, bob, connectWith(tokenIssuedAt("bob", 0, ""))), `"client":"`)
	stream := bufio.NewReader(post(t, r.URLs()[0]+"/connection/http_stream", "", connectWith(appToken("s", `{"sub":"ann"}`))).Body)
	wantParts(t, line(t, stream), `"session":"`)

	var all struct{ Connections []connection }
	_, body := requestPage(t, "GET", r.AdminURL()+"/connections?user=ann", nil)
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all.Connections) != 2 || all.Connections[0].Method != "jwt" {
		t.Fatalf("%v: %s", err, body)
	}
	if resp, body := requestPage(t, "POST", r.AdminURL()+"/revocations?user=ann", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if e := readCloseError(t, ann); e.Code != auth.CodeExpired || e.Reason != auth.ReasonRevoked {
		t.Errorf("closed with %v", e)
	}
	wantParts(t, line(t, stream), `"disconnect":{"code":4401,"reason":"credential revoked"}`)
	bounded.Until(t, func() bool { return r.conns.Len() == 1 })

	wantParts(t, sendCommand(t, bob, `{"id":2,"subscribe":{"channel":"a"}}`), `"id":2,"subscribe"`)
	again := r.open(t, "/connection/websocket", nil)
	for _, token := range []string{old, appToken("s", `{"sub":"ann"}`)} {
		wantParts(t, sendCommand(t, again, connectWith(token)), `"error":{"code":109`)
	}
	wantParts(t, sendCommand(t, again, connectWith(tokenIssuedAt("ann", 30, ""))), `"client":"`)
	for _, claims := range []string{`,"channel":"$a"`, `,"channel":"$a","jti":"1"`} {
		wantParts(t, sendCommand(t, again, `{"id":2,"subscribe":{"channel":"$a","token":"`+tokenIssuedAt("ann", -10, claims)+`"}}`), `"error":{"code":109`)
	}
	wantParts(t, sendCommand(t, again, `{"id":3,"subscribe":{"channel":"$a","token":"`+tokenIssuedAt("ann", 30, `,"channel":"$a"`)+`"}}`), `"id":3,"subscribe"`)
	expectClose(t, again, `{"id":4,"refresh":{"token":"`+old+`"}}`, 3005)
}

// expectClose sends a command for which the server closes the connection.
func expectClose(t *testing.T, c *websocket.Conn, command string, code websocket.Code) {
	t.Helper()
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(command)}); err != nil {
		t.Fatal(err)
	}
	if e := readCloseError(t, c); e.Code != code {
		t.Errorf("closed with %v", e)
	}
}

// A single token is revoked by its jti. A connection that has renewed that token stays open.
func TestCentrifugoRevokedToken(t *testing.T) {
	r := run(t, parse(t, shop))
	first := tokenIssuedAt("ann", 0, `,"jti":"first"`)
	stays, goes := r.open(t, "/connection/websocket", nil), r.open(t, "/connection/websocket", nil)
	wantParts(t, sendCommand(t, stays, connectWith(first)), `"client":"`)
	wantParts(t, sendCommand(t, goes, connectWith(first)), `"client":"`)
	wantParts(t, sendCommand(t, stays, `{"id":2,"refresh":{"token":"`+tokenIssuedAt("ann", 0, `,"jti":"second"`)+`"}}`), `"id":2,"refresh"`)
	if resp, body := requestPage(t, "POST", r.AdminURL()+"/revocations?credential=first", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if e := readCloseError(t, goes); e.Code != auth.CodeExpired {
		t.Errorf("closed with %v", e)
	}
	wantParts(t, sendCommand(t, stays, `{"id":3,"subscribe":{"channel":"a"}}`), `"id":3,"subscribe"`)
}

// The limit on a user's connections includes connections that were authenticated by a token, however they were opened.
func TestCentrifugoConnectionsOfUser(t *testing.T) {
	r := run(t, parse(t, shop))
	token := tokenIssuedAt("ann", 0, "")
	stream := bufio.NewReader(post(t, r.URLs()[0]+"/connection/http_stream", "", connectWith(token)).Body)
	wantParts(t, line(t, stream), `"session":"`)
	var last *websocket.Conn
	for range 2 {
		last = r.open(t, "/connection/websocket", nil)
		wantParts(t, sendCommand(t, last, connectWith(token)), `"client":"`)
	}
	wantParts(t, sendCommand(t, last, `{"id":2,"refresh":{"token":"`+token+`"}}`), `"id":2,"refresh"`)
	expectClose(t, r.open(t, "/connection/websocket", nil), connectWith(token), 3504)
	last.CloseNow()
	bounded.Until(t, func() bool { return r.conns.Len() == 2 })
	wantParts(t, sendCommand(t, r.open(t, "/connection/websocket", nil), connectWith(token)), `"client":"`)
}
