//go:build e2e

package gateway

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/redistest"
)

// The trace ID of a request to one server is in the log of another server that delivers the message through Redis.
func TestTraceOverTwoServers(t *testing.T) {
	appSecret, redis := secret("the-secret-of-the-traced-application"), redistest.Start(t, "")
	config := fmt.Sprintf(`
listen: [{address: "127.0.0.1:0", tls: off}]
admin: {address: "127.0.0.1:0"}
log: {level: debug}
auth:
	users: {jwt: {secret: "%s", from: [bearer]}}
apps: [{id: shop, secret: "%s"}]
endpoints:
	- {name: channels, path: /channels, target: channels, auth: [users], rules: [{do: allow}]}
	- {name: centrifugo, path: /connection/websocket, target: centrifugo, auth: [users], rules: [{do: allow}]}
hub: {engine: {redis: {url: %q}}}
`, key, appSecret, redis.URL())
	near, far := serve(t, config), serve(t, config)
	near.ready(t)
	far.ready(t)
	bob := dialChannels(t, far, "bob")
	bob.send(`{"type": "subscribe", "id": 1, "channel": "room"}`)
	bob.waitMessage("subscribed")
	page := strings.Replace(strings.TrimSuffix(near.url("channels"), "/channels"), "ws://", "http://", 1)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	out, err := exec.CommandContext(t.Context(), "curl", "-sS", "-H", "X-API-Key: "+appSecret, "-H", "traceparent: 00-"+id+"-00f067aa0ba902b7-01",
		"-d", `{"channel": "room", "data": "traced"}`, page+"/api/publish").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if m := bob.waitMessage("message"); m.Data != "traced" || m.Offset != 1 {
		t.Errorf("%+v", m)
	}
	near.logged(t, "msg=published", "trace_id="+id, "app=shop", "channel=room", "offset=1")
	far.logged(t, "msg=delivered", "trace_id="+id, "app=shop", "channel=room", "offset=1", "subscribers=1")
}
