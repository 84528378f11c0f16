//go:build e2e

package centrifugo

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
)

// site is an application with a single page that uses the SDK.
func site(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(chromium.Page("node_modules/centrifuge/dist/centrifuge.js"))
	t.Cleanup(s.Close)
	return s.URL
}

// A page of another origin can use the HTTP fallbacks only if the server allows the origin.
func TestChromium(t *testing.T) {
	u, page, other, port := harness.NewUser(t), site(t), site(t), harness.FreePort(t)
	u.Serve("--tls", "off", "--listen", "127.0.0.1:"+port, "--app", "1:k:s", "--origin", page)
	b := chromium.Start(t, chromium.Options{Dir: u.Home, Env: u.Environ()})
	connect := `(transport => new Promise(done => {
		const base = "http://127.0.0.1:` + port + `";
		const c = new Centrifuge([{ transport, endpoint: base + "/connection/" + transport }], { emulationEndpoint: base + "/emulation" });
		const s = c.newSubscription("news-" + transport);
		c.on("error", e => { c.disconnect(); done("error " + e.error.code); });
		s.on("subscribed", () => s.publish({ transport }).catch(() => {}));
		s.on("publication", p => { c.disconnect(); done(JSON.stringify(p.data)); });
		s.subscribe();
		c.connect();
	}))`
	for _, transport := range []string{"http_stream", "sse"} {
		call := connect + `("` + transport + `")`
		b.Open(page + "/")
		if got := b.Eval(call); got != `{"transport":"`+transport+`"}` {
			t.Errorf("%s: %s", transport, got)
		}
		b.Open(other + "/")
		if got := b.Eval(call); got != "error 2" { // the SDK's code for a closed transport
			t.Errorf("%s from another origin: %s", transport, got)
		}
	}
}

// A page connects over WebSocket with a token, subscribes, publishes, and sees who is present. After its connection was cut, it receives
// what it has missed. A page with a forged token is rejected.
func TestChromiumWebSocket(t *testing.T) {
	const secret = "a secret that is long enough for the command that makes tokens"
	u, page, port := harness.NewUser(t), site(t), harness.FreePort(t)
	u.Serve("--tls", "off", "--listen", "127.0.0.1:"+port, "--app", "1:k:"+secret, "--origin", page)
	token := func(secret string) string {
		t.Helper()
		return strings.TrimSpace(u.Must("handfast token jwt --sub ann --secret-file " + u.Write("secret", secret)))
	}
	b := chromium.Start(t, chromium.Options{Dir: u.Home, Env: u.Environ()})
	b.Open(page + "/")
	b.Eval(`(() => {
		window.once = (target, event) => new Promise(done => target.once(event, done));
		window.sockets = [];
		class Recorded extends WebSocket { constructor(...all) { super(...all); sockets.push(this); } }
		window.client = token => new Centrifuge("ws://127.0.0.1:` + port + `/connection/websocket", {
			token, websocket: Recorded, minReconnectDelay: 200, maxReconnectDelay: 300,
		});
		return "";
	})()`)
	got := b.Eval(`(async () => {
		const ann = client("` + token(secret) + `"), other = client();
		const s = ann.newSubscription("room", { recoverable: true, joinLeave: true }), seen = [];
		let wake = () => {};
		s.on("publication", p => { seen.push(p.data); wake(); });
		const until = async n => { while (seen.length < n) await new Promise(done => wake = done); };
		const connected = once(ann, "connected"), subscribed = once(s, "subscribed");
		s.subscribe();
		ann.connect();
		await connected;
		const socket = sockets[0];
		await subscribed;
		const users = Object.values((await s.presence()).clients).map(c => c.user);
		await s.publish(1);
		await until(1);

		const there = once(other, "connected"), gone = once(ann, "connecting"), again = once(s, "subscribed");
		other.connect();
		await there;
		socket.close();
		await gone;
		await other.publish("room", 2);
		const { wasRecovering, recovered } = await again;
		await other.publish("room", 3);
		await until(3);
		ann.disconnect();
		other.disconnect();
		return JSON.stringify({ users, seen, wasRecovering, recovered });
	})()`)
	if want := `{"users":["ann"],"seen":[1,2,3],"wasRecovering":true,"recovered":true}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	got = b.Eval(`(async () => {
		const eve = client("` + token("another "+secret) + `"), ended = once(eve, "disconnected");
		eve.connect();
		return String((await ended).code);
	})()`)
	if got != "3500" {
		t.Errorf("a forged token: %s", got)
	}
}
