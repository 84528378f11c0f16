package gateway

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/pusher"
	"github.com/handfast/handfast/websocket"
)

func hmacOf(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// trigger calls the HTTP API of an application. headers are names and values.
func trigger(t *testing.T, base, path, key, secret, body string, headers ...string) (int, string) {
	t.Helper()
	sum := md5.Sum([]byte(body))
	q := fmt.Sprintf("auth_key=%s&auth_timestamp=%d&auth_version=1.0&body_md5=%s", key, time.Now().Unix(), hex.EncodeToString(sum[:]))
	q += "&auth_signature=" + hmacOf(secret, "POST\n"+path+"\n"+q)
	r, err := http.NewRequestWithContext(bounded.Context(t), http.MethodPost, base+path+"?"+q, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text := make([]byte, 200)
	n, _ := res.Body.Read(text)
	return res.StatusCode, string(text[:n])
}

// The metrics contain only the configured namespaces.
func TestPusherMetrics(t *testing.T) {
	r := run(t, parse(t, `
apps: [{id: main, key: k, secret: main-secret}]
endpoints: [{path: "/app/{key}", target: pusher, auth: [anonymous], rules: [{do: allow}]}]
hub: {namespaces: [{prefix: "chat-"}]}
`))
	c := r.open(t, "/app/k?protocol=7", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"event":"pusher:subscribe","data":{"channel":"cache-news"}}`), "subscription_succeeded")
	const body = `{"name":"e","channel":"cache-news","data":"1"}`
	if status, text := trigger(t, r.URLs()[0], "/apps/main/events", "k", "main-secret", body); status != http.StatusOK {
		t.Fatal(status, text)
	}
	_, text := requestPage(t, "GET", r.AdminURL()+"/metrics", nil)
	wantParts(t, text, `handfast_channel_publications_total{namespace="*"} 1`, `handfast_channel_publications_total{namespace="chat-*"} 0`)
	if n := strings.Count(text, "handfast_channel_publications_total{"); n != 2 {
		t.Errorf("%d namespaces: %s", n, text)
	}
}

// A server without a file serves the protocol to all clients, and shares its channels with the other protocols.
func TestPusherByDefault(t *testing.T) {
	r := run(t, plainConfig("127.0.0.1:0"))
	c := r.open(t, "/app/dev?protocol=7&client=js&version=8.6.0", nil)
	wantParts(t, readText(t, c), `{"event":"pusher:connection_established","data":"{\"socket_id\":\"`, `\"activity_timeout\":120}"}`)
	wantParts(t, sendCommand(t, c, `{"event":"pusher:subscribe","data":{"channel":"cache-news"}}`), `{"event":"pusher_internal:subscription_succeeded","channel":"cache-news","data":"{}"}`)
	wantParts(t, readText(t, c), `pusher:cache_miss`)
	wantParts(t, sendCommand(t, c, `{"event":"pusher:subscribe","data":{"channel":"private-x"}}`), `"status":401`)
	other := r.open(t, "/channels", nil)
	readText(t, other)
	wantParts(t, sendCommand(t, other, `{"type":"subscribe","id":1,"channel":"cache-news"}`), `"subscribed"`)
	status, text := trigger(t, r.URLs()[0], "/apps/dev/events", "dev", devTestSecret, `{"name":"e","channel":"cache-news","data":"{\"a\":1}"}`)
	if status != http.StatusOK || text != "{}" {
		t.Fatal(status, text)
	}
	wantParts(t, readText(t, c), `{"event":"e","channel":"cache-news","data":"{\"a\":1}"}`)
	wantParts(t, readText(t, other), `"type":"message"`, `"event":"e"`, `"data":{"a":1}`)
	wantParts(t, sendCommand(t, other, `{"type":"publish","channel":"cache-news","data":"hi"}`), `"message"`)
	wantParts(t, readText(t, c), `{"event":"message","channel":"cache-news","data":"\"hi\""}`)
	if status, text = trigger(t, r.URLs()[0], "/apps/dev/events", "dev", "wrong", `{}`); status != http.StatusUnauthorized {
		t.Error(status, text)
	}
	if res, text := requestPage(t, http.MethodGet, r.URLs()[0]+"/up", nil); res.StatusCode != http.StatusOK || text != `{"health":"OK"}` {
		t.Error(res.Status, text)
	}
}

// With a file, each action needs a rule in addition to the signature, and the path may have a prefix.
func TestPusherRules(t *testing.T) {
	r := run(t, parse(t, `
endpoints:
- {name: push, path: "/rt/app/{key}", target: {pusher: {client_events: true}}, auth: [anonymous],
   rules: [{do: allow, actions: [connect]}, {do: allow, actions: [subscribe], channels: ["private-open-*", "presence-*"]}]}
apps: [{id: shop, key: k, secret: s}]
`))
	c := r.open(t, "/rt/app/k?protocol=7", nil)
	id := strings.Split(readText(t, c), `\"`)[3]
	subscribe := func(channel, data string) string {
		text := id + ":" + channel
		if data != "" {
			text += ":" + data
		}
		return sendCommand(t, c, fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q,"channel_data":%q}}`, channel, "k:"+hmacOf("s", text), data))
	}
	wantParts(t, subscribe("news", ""), `"status":403`)
	wantParts(t, subscribe("private-x", ""), `"status":403`)
	wantParts(t, subscribe("presence-x", `{"user_id":"1"}`), `"status":403`)
	wantParts(t, subscribe("private-open-x", ""), `subscription_succeeded`)
	wantParts(t, sendCommand(t, c, `{"event":"client-x","channel":"private-open-x","data":{}}`), `not allowed`)
	if status, text := trigger(t, r.URLs()[0], "/rt/apps/shop/events", "k", "s", `{"name":"e","channel":"private-open-x","data":"1"}`); status != http.StatusOK {
		t.Error(status, text)
	}
	wantParts(t, readText(t, c), `{"event":"e","channel":"private-open-x","data":"1"}`)
	wantParts(t, readText(t, r.open(t, "/rt/app/other?protocol=7", nil)), `"code":4001`)
}

// For rules, limits and lists, a client that signs in counts as the signed-in user. Signing in fails for a user that was revoked after the
// connection began.
func TestPusherSignIn(t *testing.T) {
	r := run(t, parse(t, `
endpoints:
- {name: push, path: "/app/{key}", target: pusher, auth: [anonymous], limits: {connections_per_identity: 1},
   rules: [{do: allow, actions: [connect]}, {do: allow, when: 'method == "signin" && user == "ann"', actions: [subscribe], channels: [news]}]}
apps: [{id: shop, key: k, secret: s}]
`))
	open := func() (c *websocket.Conn, signIn func(user string) string) {
		c = r.open(t, "/app/k?protocol=7", nil)
		id := strings.Split(readText(t, c), `\"`)[3]
		return c, func(user string) string {
			data := `{"id":"` + user + `"}`
			return sendCommand(t, c, fmt.Sprintf(`{"event":"pusher:signin","data":{"user_data":%q,"auth":"k:%s"}}`, data, hmacOf("s", id+"::user::"+data)))
		}
	}
	const subscribe = `{"event":"pusher:subscribe","data":{"channel":"news"}}`
	ann, signIn := open()
	wantParts(t, sendCommand(t, ann, subscribe), `"status":403`)
	wantParts(t, signIn("ann"), "signin_success")
	wantParts(t, signIn("ann"), "signin_success") // signing in again does not count as another connection of the user
	wantParts(t, sendCommand(t, ann, subscribe), "subscription_succeeded")
	if _, body := requestPage(t, "GET", r.AdminURL()+"/connections", nil); !strings.Contains(body, `"ann"`) {
		t.Errorf("the list: %s", body)
	}
	second, signIn := open()
	wantParts(t, signIn("ann"), `"code":4004`)
	if e := readCloseError(t, second); e.Code != pusher.CodeOverQuota {
		t.Errorf("closed with %v", e)
	}

	third, signIn := open()
	if resp, body := requestPage(t, "POST", r.AdminURL()+"/revocations?user=ann", nil); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	readCloseError(t, ann)
	wantParts(t, signIn("ann"), `"code":4100`)
	if e := readCloseError(t, third); e.Code != pusher.CodeOverCapacity {
		t.Errorf("closed with %v", e)
	}
}

// A drain tells a few clients to reconnect immediately, and if there are many, the others to reconnect after a pause.
func TestPusherDrain(t *testing.T) {
	r := run(t, plainConfig("127.0.0.1:0"))
	c := r.open(t, "/app/dev?protocol=7", nil)
	readText(t, c)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	if _, err := c.Read(bounded.Context(t)); websocket.CloseCode(err) != pusher.CodeReconnect {
		t.Error(err)
	}
	if err := bounded.Receive(t, stopped); err != nil {
		t.Error(err)
	}
	for left, want := range map[int]websocket.Code{0: pusher.CodeReconnect, pusherPace: pusher.CodeReconnect, pusherPace + 1: pusher.CodeOverCapacity} {
		if got := pusherDrain(left); got != want {
			t.Errorf("%d left: %v", left, got)
		}
	}
}

// The path must contain a placeholder for the key.
func TestPusherPath(t *testing.T) {
	_, err := config.Parse("f", []byte("endpoints: [{path: /push, target: pusher, auth: [anonymous]}]\napps: [{id: a, secret: b}]\n"))
	if err == nil || !strings.Contains(err.Error(), "does not end with /app/{key}") {
		t.Error(err)
	}
}
