//go:build e2e

package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
)

// The admin page shows the channels by prefix, and the location, members and connections of a channel. The page also works with a
// token. Names are displayed literally, including markup.
func TestAdminPage(t *testing.T) {
	const token = "the-token-of-the-admin-page"
	for name, admin := range map[string]string{"open": `{address: "127.0.0.1:0"}`, "with a token": `{address: "127.0.0.1:0", token: "` + secret(token) + `"}`} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, fmt.Sprintf(`
listen: [{address: "127.0.0.1:0", tls: off}]
admin: %s
auth:
	users: {jwt: {secret: "%s", from: [bearer]}}
apps: [{id: shop, secret: "%s"}]
endpoints: [{name: channels, path: /channels, target: channels, auth: [users], rules: [{do: allow}]}]
hub: {namespaces: [{prefix: "room-", history: 10, presence: true}, {prefix: ""}]}
`, admin, key, secret("the-secret-of-the-shop-of-the-admin-page")))
			ann := dialChannels(t, s, "ann")
			for i, channel := range []string{"room-<b>1", "news"} {
				ann.send(fmt.Sprintf(`{"type": "subscribe", "id": %d, "channel": %q, "join": true, "data": {"name": "Ann"}}`, i+1, channel))
				ann.waitMessage("subscribed")
			}
			ann.send(`{"type": "publish", "id": 3, "channel": "room-<b>1", "data": "x"}`)
			ann.waitMessage("published")

			u := harness.NewUser(t)
			b := chromium.Start(t, chromium.Options{Dir: u.Home, Env: u.Environ()})
			b.Open(s.url("admin"))
			shows := func(what string, parts ...string) {
				t.Helper()
				got := ""
				harness.Until(t, "the page shows "+what, func() bool {
					got = b.Eval("document.body.innerText")
					for _, p := range parts {
						if !strings.Contains(got, p) {
							return false
						}
					}
					return true
				})
			}
			if name == "with a token" {
				shows("that it needs a token", "a token is required", "Admin token")
				b.Eval(`document.querySelector("#secret").value = "` + token + `", document.querySelector("#token button").click(), "done"`)
			}
			shows("the channels and the connection", "engine memory, ready", "room-<b>1", "news", "ann", "127.0.0.1")
			b.Eval(`document.querySelector("#prefix").value = "room", document.querySelector("#find button").click(), "done"`)
			harness.Until(t, "the page shows the channels with the prefix only", func() bool {
				return b.Eval(`document.querySelector("#channels").innerText.trim()`) == "room-<b>1\t1"
			})
			b.Eval(`document.querySelector("#channels button").click(), "done"`)
			shows("the channel and its member", "Last message: offset 1. Messages kept: 1. Members: 1.", `{"name":"Ann"}`)
		})
	}
}
