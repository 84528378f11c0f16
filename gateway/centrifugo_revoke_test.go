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

// issued returns a user's token whose iat claim is ahead seconds in the future, as from a clock that is fast.
func issued(user string, ahead int64, more string) string {
	return appToken("s", fmt.Sprintf(`{"sub":%q,"iat":%d%s}`, user, time.Now().Unix()+ahead, more))
}

// When an operator revokes a user's tokens, the user's connections are closed, including those over HTTP, and earlier tokens are
// rejected for connecting, subscribing and renewal.
func TestCentrifugoRevoked(t *testing.T) {
	r := run(t, parse(t, shop))
	old := issued("ann", 0, "")
	ann, bob := r.open(t, "/connection/websocket", nil), r.open(t, "/connection/websocket", nil)
	wants(t, speak(t, ann, connectWith(old)), `"client":"`)
	wants(t, speak(t, bob, connectWith(issued("bob", 0, ""))), `"client":"`)
	stream := bufio.NewReader(post(t, r.URLs()[0]+"/connection/http_stream", "", connectWith(appToken("s", `{"sub":"ann"}`))).Body)
	wants(t, line(t, stream), `"session":"`)

	var all struct{ Connections []connection }
	_, body := page(t, "GET", r.AdminURL()+"/connections?user=ann", nil)
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all.Connections) != 2 || all.Connections[0].Method != "jwt" {
		t.Fatalf("%v: %s", err, body)
	}
	if resp, body := page(t, "POST", r.AdminURL()+"/revocations?user=ann", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if e := ending(t, ann); e.Code != auth.CodeExpired || e.Reason != auth.ReasonRevoked {
		t.Errorf("closed with %v", e)
	}
	wants(t, line(t, stream), `"disconnect":{"code":4401,"reason":"credential revoked"}`)
	bounded.Until(t, func() bool { return r.conns.Len() == 1 })

	wants(t, speak(t, bob, `{"id":2,"subscribe":{"channel":"a"}}`), `"id":2,"subscribe"`)
	again := r.open(t, "/connection/websocket", nil)
	for _, token := range []string{old, appToken("s", `{"sub":"ann"}`)} {
		wants(t, speak(t, again, connectWith(token)), `"error":{"code":109`)
	}
	wants(t, speak(t, again, connectWith(issued("ann", 30, ""))), `"client":"`)
	for _, claims := range []string{`,"channel":"$a"`, `,"channel":"$a","jti":"1"`} {
		wants(t, speak(t, again, `{"id":2,"subscribe":{"channel":"$a","token":"`+issued("ann", -10, claims)+`"}}`), `"error":{"code":109`)
	}
	wants(t, speak(t, again, `{"id":3,"subscribe":{"channel":"$a","token":"`+issued("ann", 30, `,"channel":"$a"`)+`"}}`), `"id":3,"subscribe"`)
	refuses(t, again, `{"id":4,"refresh":{"token":"`+old+`"}}`, 3005)
}

// refuses sends a command for which the server closes the connection.
func refuses(t *testing.T, c *websocket.Conn, command string, code websocket.Code) {
	t.Helper()
	if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte(command)}); err != nil {
		t.Fatal(err)
	}
	if e := ending(t, c); e.Code != code {
		t.Errorf("closed with %v", e)
	}
}

// A single token is revoked by its jti. A connection that has renewed that token stays open.
func TestCentrifugoRevokedToken(t *testing.T) {
	r := run(t, parse(t, shop))
	first := issued("ann", 0, `,"jti":"first"`)
	stays, goes := r.open(t, "/connection/websocket", nil), r.open(t, "/connection/websocket", nil)
	wants(t, speak(t, stays, connectWith(first)), `"client":"`)
	wants(t, speak(t, goes, connectWith(first)), `"client":"`)
	wants(t, speak(t, stays, `{"id":2,"refresh":{"token":"`+issued("ann", 0, `,"jti":"second"`)+`"}}`), `"id":2,"refresh"`)
	if resp, body := page(t, "POST", r.AdminURL()+"/revocations?credential=first", nil); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if e := ending(t, goes); e.Code != auth.CodeExpired {
		t.Errorf("closed with %v", e)
	}
	wants(t, speak(t, stays, `{"id":3,"subscribe":{"channel":"a"}}`), `"id":3,"subscribe"`)
}

// The limit on a user's connections includes connections that were authenticated by a token, however they were opened.
func TestCentrifugoConnectionsOfUser(t *testing.T) {
	r := run(t, parse(t, shop))
	token := issued("ann", 0, "")
	stream := bufio.NewReader(post(t, r.URLs()[0]+"/connection/http_stream", "", connectWith(token)).Body)
	wants(t, line(t, stream), `"session":"`)
	var last *websocket.Conn
	for range 2 {
		last = r.open(t, "/connection/websocket", nil)
		wants(t, speak(t, last, connectWith(token)), `"client":"`)
	}
	wants(t, speak(t, last, `{"id":2,"refresh":{"token":"`+token+`"}}`), `"id":2,"refresh"`)
	refuses(t, r.open(t, "/connection/websocket", nil), connectWith(token), 3504)
	last.CloseNow()
	bounded.Until(t, func() bool { return r.conns.Len() == 2 })
	wants(t, speak(t, r.open(t, "/connection/websocket", nil), connectWith(token)), `"client":"`)
}
