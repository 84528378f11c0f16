//go:build e2e

package proxies

import (
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// caddy starts a Caddy with the given site configuration and returns its port.
func (h *home) caddy(site string) string {
	h.T.Helper()
	port := harness.FreePort(h.T)
	conf := h.Write("Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\nhttp://127.0.0.1:"+port+" {\n"+site+"\n}\n")
	h.Start("127.0.0.1:"+port, "caddy", "run", "--config", conf, "--adapter", "caddyfile")
	return port
}

// Caddy forwards WebSockets without special configuration.
func TestCaddyRight(t *testing.T) {
	h := newHome(t)
	h.right("ws://127.0.0.1:" + h.caddy("\treverse_proxy 127.0.0.1:"+h.backend()) + "/echo")
}

// Caddy itself responds to requests for paths other than /ws/.
func TestCaddyOtherPath(t *testing.T) {
	h := newHome(t)
	backend := h.backend()
	port := h.caddy("\thandle /ws/* {\n\t\treverse_proxy 127.0.0.1:" + backend + "\n\t}\n\thandle {\n\t\trespond \"nothing here\" 404\n\t}")
	h.diagnosed(port, "status-404")
}
