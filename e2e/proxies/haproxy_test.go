package proxies

import (
	"strings"
	"testing"
)

// haproxy starts one with the given sections and returns its port.
func (h *home) haproxy(sections string) string {
	h.t.Helper()
	port := freePort(h.t)
	conf := h.write("haproxy.cfg", `global
	log stderr local0 warning
defaults
	log global
	mode http
	timeout connect 2s
	timeout client 30s
	timeout server 30s
	timeout tunnel 1h
`+strings.ReplaceAll(sections, "PORT", port))
	h.start("127.0.0.1:"+port, "haproxy", "-db", "-f", conf)
	return port
}

func TestHAProxyRight(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.haproxy(`
listen ws
	bind 127.0.0.1:PORT
	server one 127.0.0.1:` + backend + `
`)
	url := "ws://127.0.0.1:" + port + "/echo"
	h.echoes(url)
	if r := h.explain(url); !r.Opened || r.Diagnosis != nil {
		t.Errorf("got %s", r.text)
	}
}

// A rule that drops the hop-by-hop headers, as some copy it for security.
func TestHAProxyWithoutUpgrade(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.haproxy(`
listen ws
	bind 127.0.0.1:PORT
	http-request del-header Upgrade
	server one 127.0.0.1:` + backend + `
`)
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || r.Diagnosis.ID != "upgrade-stripped" && r.Diagnosis.ID != "status-426" {
		t.Errorf("got %s", r.text)
	}
}

func TestHAProxyBackendDown(t *testing.T) {
	h := newHome(t)
	port := h.haproxy(`
listen ws
	bind 127.0.0.1:PORT
	retries 0
	server one 127.0.0.1:` + freePort(t) + `
`)
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || r.Diagnosis.ID != "status-503" {
		t.Errorf("got %s", r.text)
	}
}

// "timeout tunnel" ends a WebSocket that is silent for longer.
func TestHAProxyIdleTimeout(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.haproxy(`
listen ws
	bind 127.0.0.1:PORT
	timeout tunnel 2s
	server one 127.0.0.1:` + backend + `
`)
	r := h.explain("ws://127.0.0.1:"+port+"/echo", "--probe-idle", "10s")
	if r.Idle == nil || !r.Idle.Cut || len(r.Warnings) == 0 || r.Warnings[0].ID != "idle-timeout" {
		t.Errorf("got %s", r.text)
	}
}

// In TCP mode the PROXY protocol tells the server who the client is: both versions, and what happens when only one side
// knows of it.
func TestHAProxySendsProxyHeader(t *testing.T) {
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		t.Run(version, func(t *testing.T) {
			h := newHome(t)
			config := h.write("handfast.yaml", `
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
			backend, out := h.serve("--config", config)
			port := h.haproxy(`
listen ws
	mode tcp
	bind 127.0.0.1:PORT
	source 127.0.0.1
	server one 127.0.0.1:` + backend + ` ` + version + `
`)
			h.echoes("ws://127.0.0.1:" + port + "/echo")
			if r := h.explain("ws://127.0.0.1:" + port + "/echo"); !r.Opened || r.Diagnosis != nil {
				t.Errorf("got %s\n%s", r.text, out)
			}
		})
	}
	t.Run("the server does not expect it", func(t *testing.T) {
		h := newHome(t)
		backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
		port := h.haproxy(`
listen ws
	mode tcp
	bind 127.0.0.1:PORT
	server one 127.0.0.1:` + backend + ` send-proxy
`)
		if r := h.explain("ws://127.0.0.1:" + port + "/echo"); r.Opened || r.Diagnosis == nil {
			t.Errorf("got %s", r.text)
		}
	})
}
