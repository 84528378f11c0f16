//go:build e2e

package proxies

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// Lines of nginx's configuration that WebSockets require.
const (
	http11     = "proxy_http_version 1.1;"
	upgrade    = "proxy_set_header Upgrade $http_upgrade;"
	connection = `proxy_set_header Connection "upgrade";`
	host       = "proxy_set_header Host $http_host;"
)

// nginx starts an nginx that forwards all requests to a backend, and returns its port. tls contains the directives for TLS; "" means no
// TLS. lines are added next to "proxy_pass".
func (h *home) nginx(tls, backend string, lines ...string) string {
	h.T.Helper()
	port := harness.FreePort(h.T)
	ssl := ""
	if tls != "" {
		ssl = " ssl"
	}
	conf := h.Write("nginx.conf", `daemon off;
pid nginx.pid;
worker_processes 1;
error_log stderr;
events { worker_connections 128; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen 127.0.0.1:`+port+ssl+`;
		`+tls+`
		location / {
			proxy_pass http://127.0.0.1:`+backend+`;
			`+strings.Join(lines, "\n\t\t\t")+`
		}
	}
}
`)
	h.Start("127.0.0.1:"+port, "nginx", "-p", h.Home, "-c", conf, "-e", "stderr")
	return port
}

func TestNginxRight(t *testing.T) {
	h := newHome(t)
	h.right("ws://127.0.0.1:" + h.nginx("", h.backend(), http11, upgrade, connection, host) + "/echo")
}

// Without special configuration, the most common mistake, nginx sends HTTP/1.0 to the backend without Upgrade and Connection.
func TestNginxWithoutUpgrade(t *testing.T) {
	h := newHome(t)
	r := h.diagnosed(h.nginx("", h.backend()), "upgrade-stripped")
	for _, line := range []string{"proxy_http_version 1.1", "proxy_set_header Upgrade $http_upgrade", "proxy_set_header Connection"} {
		if !strings.Contains(strings.Join(r.Diagnosis.ForOwner, "\n"), line) {
			t.Errorf("the advice lacks %q: %q", line, r.Diagnosis.ForOwner)
		}
	}
}

// In an incomplete configuration, nginx forwards Upgrade, but sends its default value of Connection, "close".
func TestNginxWithoutConnection(t *testing.T) {
	h := newHome(t)
	r := h.diagnosed(h.nginx("", h.backend(), http11, upgrade, host), "upgrade-stripped")
	if !strings.Contains(strings.Join(r.Diagnosis.ForOwner, "\n"), "proxy_set_header Connection") {
		t.Errorf("got %s", r.text)
	}
}

// By default, nginx sends the address of the backend as the Host, which then does not match the origin of a page.
func TestNginxOtherHost(t *testing.T) {
	h := newHome(t)
	h.diagnosed(h.nginx("", h.backend(), http11, upgrade, connection), "origin-refused")
}

func TestNginxBackendDown(t *testing.T) {
	h := newHome(t)
	h.diagnosed(h.nginx("", harness.FreePort(t)), "status-502")
}

// nginx's proxy_read_timeout, 60 s by default, ends an idle connection. The interval of the server's pings is longer than the timeout in
// this test, so the pings do not keep the connection open.
func TestNginxIdleTimeout(t *testing.T) {
	h := newHome(t)
	h.cutsIdle(h.nginx("", h.backend(), http11, upgrade, connection, host, "proxy_read_timeout 5s;"))
}

// nginx terminates TLS. The server accepts the origin https://localhost as its own only if it trusts the scheme that nginx reports.
func TestNginxEndsTLS(t *testing.T) {
	h := newHome(t)
	h.Must("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 " +
		"-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1")
	before := func(h *home, backend string) (url string) {
		return "wss://localhost:" + h.nginx("ssl_certificate cert.pem; ssl_certificate_key key.pem;", backend, http11, upgrade,
			connection, host, "proxy_set_header X-Forwarded-Proto $scheme;", "proxy_set_header X-Forwarded-For $remote_addr;") + "/echo"
	}
	t.Run("not believed", func(t *testing.T) {
		h := &home{h.In(t)}
		r := h.explain(before(h, h.backend()), "--cacert", "cert.pem")
		if r.Diagnosis == nil || r.Diagnosis.ID != "origin-refused" {
			t.Errorf("got %s", r.text)
		}
	})
	t.Run("believed", func(t *testing.T) {
		h := &home{h.In(t)}
		config := h.Write("handfast.yaml", `
listen:
  - address: 127.0.0.1:0
    tls: off
trusted_proxies: [127.0.0.1]
audit: stderr
endpoints:
  - path: /echo
    target: echo
    auth: [anonymous]
`)
		backend := h.serve("--config", config)
		h.right(before(h, backend), "--cacert", "cert.pem")
	})
}
