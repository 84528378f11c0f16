//go:build e2e

package centrifugo

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/webhook"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// The SDK connects, subscribes, publishes, refreshes, recovers, loads the state of the application and falls back; the steps are in sdk.mjs.
func TestSDK(t *testing.T) {
	u := harness.NewUser(t)
	port := harness.FreePort(t)
	u.Serve("--tls", "off", "--listen", "127.0.0.1:"+port, "--app", "1:k:s")
	script, err := filepath.Abs("sdk.mjs")
	if err != nil {
		t.Fatal(err)
	}
	got := u.Run(u.Command("node", script, "http://127.0.0.1:"+port, "1", "k", "s"))
	if got.Code != 0 || strings.Count(got.Stdout, "ok ") != 12 {
		t.Errorf("%+v", got)
	}
}

// RPC calls of the SDK's clients, in JSON and in Protobuf, are handled by the application.
func TestCalls(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch text := string(body); {
		case err != nil || !webhook.Verify([]byte("s"), r.Header, body, time.Now()):
			t.Errorf("not signed: %s, %v", text, err)
		case strings.Contains(text, `"method":"add","data":[1,2]`):
			io.WriteString(w, `{"result":{"data":{"sum":3}}}`)
		case strings.Contains(text, `"method":"deny"`):
			io.WriteString(w, `{"error":{"code":403,"message":"not you"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer app.Close()
	u := harness.NewUser(t)
	port := harness.FreePort(t)
	file := filepath.Join(u.Home, "handfast.yaml")
	text := fmt.Sprintf(`
listen: [{address: "127.0.0.1:%s", tls: off}]
apps: [{id: "1", key: k, secret: s}]
endpoints:
  - path: /connection/websocket
    target: {centrifugo: {anonymous: true, rpc: {url: "%s"}}}
    auth: [anonymous]
    rules: [{do: allow}]
`, port, app.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	u.Serve("--config", file)
	script, err := filepath.Abs("calls.mjs")
	if err != nil {
		t.Fatal(err)
	}
	got := u.Run(u.Command("node", script, "ws://127.0.0.1:"+port+"/connection/websocket"))
	if got.Code != 0 || got.Stdout != "ok\nok\n" {
		t.Errorf("%+v", got)
	}
}

// A client with delta compression that was disconnected recovers the publications that it missed, and then receives deltas again.
func TestDeltasRecoveredAndCompressed(t *testing.T) {
	u := harness.NewUser(t)
	port := harness.FreePort(t)
	u.Write("handfast.yaml", fmt.Sprintf(`
listen: [{address: "127.0.0.1:%s", tls: off}]
apps: [{id: "1", key: k, secret: s}]
endpoints:
  - path: /connection/websocket
    target: {centrifugo: {anonymous: true}}
    auth: [anonymous]
    compression: true
    rules: [{do: allow}]
`, port))
	u.Serve("--config", "handfast.yaml")
	script, err := filepath.Abs("deltas.mjs")
	if err != nil {
		t.Fatal(err)
	}
	got := u.Run(u.Command("node", script, "http://127.0.0.1:"+port, "s"))
	if got.Code != 0 || got.Stdout != "ok\nok\n" {
		t.Errorf("%+v", got)
	}
}
