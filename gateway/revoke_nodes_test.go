package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
	"github.com/handfast/handfast/pusher"
	"github.com/handfast/handfast/websocket"
)

// cluster is a node that shares a Redis server with other nodes.
const cluster = `
auth:
	users:
		jwt: {secret: "%[1]s", skew: 0s}
store: {redis: {url: "%[2]s"}}
hub: {engine: {redis: {url: "%[2]s"}}}
apps: [{id: shop, key: k, secret: s}]
endpoints:
	- {name: own, path: /channels, target: {channels: {app: shop}}, auth: [users], rules: [{do: allow}]}
	- {name: cf, path: /connection/websocket, target: {centrifugo: {app: shop}}, auth: [anonymous], rules: [{do: allow}]}
	- {name: push, path: "/app/{key}", target: {pusher: {watchlists: true}}, auth: [users, anonymous], rules: [{do: allow}]}
`

// An operator, or the application, closes the connections of a user through another node, in each protocol with its own code. The
// connections of another user stay.
func TestRevokedOnAnotherNode(t *testing.T) {
	redis := redistest.Start(t, "")
	near := run(t, parse(t, cluster, key, redis.URL()))
	far := run(t, parse(t, cluster, key, redis.URL()))

	byToken := func(path string) func(user string) *websocket.Conn {
		return func(user string) *websocket.Conn {
			c := far.open(t, path, withToken(token(user, time.Hour, nil)))
			readText(t, c) // the connection is open
			return c
		}
	}
	centrifugo := func(user string) *websocket.Conn {
		c := far.open(t, "/connection/websocket", nil)
		wantParts(t, sendCommand(t, c, connectWith(tokenIssuedAt(user, 0, ""))), `"client":"`)
		return c
	}
	signedIn := func(user string) *websocket.Conn {
		c := far.open(t, "/app/k?protocol=7", nil)
		id := strings.Split(readText(t, c), `\"`)[3] // the socket_id
		data := `{"id":"` + user + `"}`
		wantParts(t, sendCommand(t, c, fmt.Sprintf(`{"event":"pusher:signin","data":{"user_data":%q,"auth":"k:%s"}}`, data, hmacOf("s", id+"::user::"+data))),
			"signin_success")
		return c
	}
	operator := func(user string) {
		if resp, body := requestPage(t, "POST", near.AdminURL()+"/revocations?user="+user, nil); resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
	}
	api := func(method, more string) func(user string) {
		return func(user string) {
			if res := post(t, near.URLs()[0]+"/api/"+method, "s", `{"user":"`+user+`"`+more+`}`); res.StatusCode != http.StatusOK {
				t.Fatal(res.Status)
			}
		}
	}
	terminate := func(user string) {
		if status, text := trigger(t, near.URLs()[0], "/apps/shop/users/"+user+"/terminate_connections", "k", "s", ""); status != http.StatusOK {
			t.Fatal(status, text)
		}
	}
	for i, c := range []struct {
		name  string
		open  func(user string) *websocket.Conn
		close func(user string)
		code  websocket.Code
	}{
		{"channels, by the operator", byToken("/channels"), operator, auth.CodeExpired},
		{"centrifugo, by the operator", centrifugo, operator, auth.CodeExpired},
		{"pusher, by the operator", byToken("/app/k?protocol=7"), operator, auth.CodeExpired},
		{"pusher that has signed in, by the operator", signedIn, operator, auth.CodeExpired},
		{"channels, by disconnect of the API", byToken("/channels"), api("disconnect", ""), wire.CloseServer},
		{"centrifugo, by disconnect of the API", centrifugo, api("disconnect", ""), 3503},
		{"centrifugo, by an expired one", centrifugo, api("refresh", `,"expired":true`), 3005},
		{"pusher, by disconnect of the API", signedIn, api("disconnect", ""), pusher.CodeUnauthorized},
		{"pusher, by terminate_connections", signedIn, terminate, pusher.CodeUnauthorized},
		{"centrifugo, by terminate_connections", centrifugo, terminate, 3507},
	} {
		user := fmt.Sprint("ann", i) // a revocation is permanent
		ann, bob := c.open(user), c.open("bob")
		c.close(user)
		if e := readCloseError(t, ann); e.Code != c.code {
			t.Errorf("%s: closed with %v", c.name, e)
		}
		if _, err := bob.Ping(bounded.Context(t)); err != nil {
			t.Errorf("%s: another user: %v", c.name, err)
		}
	}

	// Credentials that were issued before the revocation are not accepted by any node.
	operator("eve")
	for _, r := range []*running{near, far} {
		bounded.Until(t, func() bool {
			c := r.open(t, "/connection/websocket", nil)
			defer c.CloseNow()
			return strings.Contains(sendCommand(t, c, connectWith(tokenIssuedAt("eve", -10, ""))), `"error":{"code":109`)
		})
	}
}
