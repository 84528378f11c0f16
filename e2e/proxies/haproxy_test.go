//go:build e2e

package proxies

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// haproxy starts an HAProxy that forwards all requests to a server, and returns its port. lines are added to the "listen" section of the
// configuration.
func (h *home) haproxy(server string, lines ...string) string {
	h.T.Helper()
	port := harness.FreePort(h.T)
	conf := h.Write("haproxy.cfg", `global
	log stderr local0 warning
defaults
	log global
	mode http
	timeout connect 1m
	timeout client 1m
	timeout server 1m
	timeout tunnel 1h
listen ws
	bind 127.0.0.1:`+port+`
	server one 127.0.0.1:`+server+`
	`+strings.Join(lines, "\n\t")+"\n")
	h.Start("127.0.0.1:"+port, "haproxy", "-db", "-f", conf)
	return port
}

func TestHAProxyRight(t *testing.T) {
	h := newHome(t)
	h.right("ws://127.0.0.1:" + h.haproxy(h.backend()) + "/echo")
}

// HAProxy removes the header Upgrade, as some configurations do for security.
func TestHAProxyWithoutUpgrade(t *testing.T) {
	h := newHome(t)
	h.diagnosed(h.haproxy(h.backend(), "http-request del-header Upgrade"), "upgrade-stripped", "status-426")
}

func TestHAProxyBackendDown(t *testing.T) {
	h := newHome(t)
	h.diagnosed(h.haproxy(harness.FreePort(t), "retries 0"), "status-503")
}

// HAProxy's "timeout tunnel" ends an idle WebSocket.
func TestHAProxyIdleTimeout(t *testing.T) {
	h := newHome(t)
	h.cutsIdle(h.haproxy(h.backend(), "timeout tunnel 5s"))
}

// In TCP mode, both versions of the PROXY protocol send the client's address to the server. If only one side uses the protocol,
// the handshake fails.
func TestHAProxySendsProxyHeader(t *testing.T) {
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		t.Run(version, func(t *testing.T) {
			h := newHome(t)
			config := h.Write("handfast.yaml", `
listen:
  - address: 127.0.0.1:0
    tls: off
    proxy_protocol: {from: [127.0.0.1]}
audit: stderr
endpoints:
  - path: /echo
    target: echo
    auth: [anonymous]
`)
			backend := h.serve("--config", config)
			h.right("ws://127.0.0.1:" + h.haproxy(backend+" "+version, "mode tcp", "source 127.0.0.1") + "/echo")
		})
	}
	t.Run("the server does not expect it", func(t *testing.T) {
		h := newHome(t)
		port := h.haproxy(h.backend()+" send-proxy", "mode tcp")
		if r := h.explain("ws://127.0.0.1:" + port + "/echo"); r.Opened || r.Diagnosis == nil {
			t.Errorf("got %s", r.text)
		}
	})
}
