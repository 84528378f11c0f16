//go:build e2e

package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// Customers see each other and the changes of their own orders. The application does not sign subscriptions to other customers'
// orders, and the server rejects unsigned subscriptions.
func TestBackend(t *testing.T) {
	u := harness.NewUser(t)
	dir, err := filepath.Abs("../../examples/backend")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil || !strings.Contains(string(text), "\nnode examples/backend\n") {
		t.Fatalf("the README does not start the example: %v", err)
	}
	handfast, err := exec.LookPath("handfast") // the binary built for these tests, which the example need not build again
	if err != nil {
		t.Fatal(err)
	}
	port, server := harness.FreePort(t), harness.FreePort(t)
	u.Env = append(u.Env, "HANDFAST="+handfast, "PORT="+port, "PUSHER_PORT="+server)
	u.Start("127.0.0.1:"+port, "node", dir)
	url := "http://127.0.0.1:" + port + "/"

	ann, bob := open(t, url), open(t, url)
	ann.Eval(`submit(window, "login", {name: "ann"})`)
	ann.want("the connection", `$("state").textContent === "connected"`)
	bob.Eval(`submit(window, "login", {name: "bob"})`)
	for _, p := range []page{ann, bob} {
		p.want("both are there", `$("members").textContent === "In the shop: ann, bob"`)
	}
	ann.want("the subscription", `pusher.channel("private-orders-ann").subscribed`)
	ann.Eval(`submit(window, "order", {item: "tea <i>"})`)
	ann.want("the order", `$("orders").textContent === "1tea <i>orderedSend"`)
	ann.Eval(`$("orders").querySelector("button").click()`)
	ann.want("the order was sent", `$("orders").textContent === "1tea <i>sent"`)

	bob.Eval(`let status; pusher.subscribe("private-orders-ann").bind("pusher:subscription_error", e => { status = e.status; }); true`)
	bob.want("the refusal of the application", `status === 403`)
	bob.Eval(`const forger = new Pusher(pusher.key, { wsHost: "127.0.0.1", wsPort: ` + server + `, forceTLS: false,
		enabledTransports: ["ws"], cluster: "", channelAuthorization: {
			customHandler: (_, done) => done(null, { auth: pusher.key + ":" + "0".repeat(64) }) } });
		let forged; forger.subscribe("private-orders-ann").bind("pusher:subscription_error", e => { forged = e.status; }); true`)
	bob.want("the refusal of the server", `forged === 401`)
	if got := bob.Eval(`$("orders").textContent`); got != "" {
		t.Errorf("the other customer sees %q", got)
	}

	// After reconnecting, the client receives the events that it missed.
	ann.Eval(`pusher.disconnect(); fetch("/orders", { method: "POST", body: new URLSearchParams({ item: "milk" }) })
		.then(() => { pusher.connect(); return true; })`)
	ann.want("what was missed", `$("orders").textContent.includes("2milkordered")`)
	bob.Eval(`pusher.disconnect(); true`)
	ann.want("bob has left", `$("members").textContent === "In the shop: ann"`)
}
