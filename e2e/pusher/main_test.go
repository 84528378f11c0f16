//go:build e2e

package pusher

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// recovering returns the JavaScript module in docs/pusher.md that adds recovery to pusher-js.
func recovering(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/pusher.md")
	if err != nil {
		t.Fatal(err)
	}
	_, module, found := strings.Cut(string(text), "```js\nexport function recovering")
	module, _, ended := strings.Cut(module, "\n```\n")
	if !found || !ended {
		t.Fatal("the document has no function recovering")
	}
	return "export function recovering" + module + "\n"
}

// The SDKs connect, subscribe, authorize, publish, sign in, reconnect and verify webhooks; the steps are in sdk.mjs.
func TestSDKs(t *testing.T) {
	u := harness.NewUser(t)
	port, hooks := harness.FreePort(t), harness.FreePort(t)
	u.Env = append(u.Env, `HANDFAST_WEBHOOKS=[{url: "http://127.0.0.1:`+hooks+`/", format: pusher}]`)
	u.Serve("--tls", "off", "--listen", "127.0.0.1:"+port, "--app", "1:k:s")
	script, err := filepath.Abs("sdk.mjs")
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(t.TempDir(), "recovering.mjs")
	if err := os.WriteFile(module, []byte(recovering(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := u.Run(u.Command("node", script, "http://127.0.0.1:"+port, "1", "k", "s", hooks, module))
	if got.Code != 0 || strings.Count(got.Stdout, "ok ") != 13 {
		t.Errorf("%+v", got)
	}
}
