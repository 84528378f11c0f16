//go:build e2e

package centrifugo

import (
	"net/http/httptest"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/house"
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
	u, page, other, port := house.NewUser(t), site(t), site(t), house.FreePort(t)
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
