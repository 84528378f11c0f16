package proxies

import (
	"strings"
	"testing"
)

// nginx starts one with the given server block and returns its port.
func (h *home) nginx(server string) string {
	h.t.Helper()
	port := freePort(h.t)
	conf := h.write("nginx.conf", `daemon off;
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
	`+strings.ReplaceAll(server, "PORT", port)+`
}
`)
	h.start("127.0.0.1:"+port, "nginx", "-p", h.dir, "-c", conf, "-e", "stderr")
	return port
}

func TestNginxRight(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.nginx(`server {
		listen 127.0.0.1:PORT;
		location / {
			proxy_pass http://127.0.0.1:` + backend + `;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header Host $http_host;
		}
	}`)
	url := "ws://127.0.0.1:" + port + "/echo"
	h.echoes(url)
	if r := h.explain(url); !r.Opened || r.Diagnosis != nil {
		t.Errorf("got %s", r.text)
	}
}

// The classic: nginx speaks HTTP/1.0 to the backend, without the two headers.
func TestNginxWithoutUpgrade(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.nginx(`server {
		listen 127.0.0.1:PORT;
		location / { proxy_pass http://127.0.0.1:` + backend + `; }
	}`)
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || r.Diagnosis.ID != "upgrade-stripped" {
		t.Fatalf("got %s", r.text)
	}
	for _, line := range []string{"proxy_http_version 1.1", "proxy_set_header Upgrade $http_upgrade", "proxy_set_header Connection"} {
		if !strings.Contains(strings.Join(r.Diagnosis.ForOwner, "\n"), line) {
			t.Errorf("the advice lacks %q: %q", line, r.Diagnosis.ForOwner)
		}
	}
}

// Half of the fix: Upgrade is passed on, and Connection is still nginx's own "close".
func TestNginxWithoutConnection(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.nginx(`server {
		listen 127.0.0.1:PORT;
		location / {
			proxy_pass http://127.0.0.1:` + backend + `;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Host $http_host;
		}
	}`)
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || r.Diagnosis.ID != "upgrade-stripped" ||
		!strings.Contains(strings.Join(r.Diagnosis.ForOwner, "\n"), "proxy_set_header Connection") {
		t.Errorf("got %s", r.text)
	}
}

// nginx sends its own name for the server's: then a page's origin is not the host that the request was sent to.
func TestNginxOtherHost(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.nginx(`server {
		listen 127.0.0.1:PORT;
		location / {
			proxy_pass http://127.0.0.1:` + backend + `;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
		}
	}`)
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || r.Diagnosis.ID != "origin-refused" {
		t.Errorf("got %s", r.text)
	}
}

func TestNginxBackendDown(t *testing.T) {
	h := newHome(t)
	port := h.nginx(`server {
		listen 127.0.0.1:PORT;
		location / { proxy_pass http://127.0.0.1:` + freePort(t) + `; }
	}`)
	r := h.explain("ws://127.0.0.1:" + port + "/echo")
	if r.Diagnosis == nil || r.Diagnosis.ID != "status-502" {
		t.Errorf("got %s", r.text)
	}
}

// proxy_read_timeout ends a connection that is silent for longer, 60 s by default. The server's pings would keep it open:
// they come later than that here.
func TestNginxIdleTimeout(t *testing.T) {
	h := newHome(t)
	backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
	port := h.nginx(`server {
		listen 127.0.0.1:PORT;
		location / {
			proxy_pass http://127.0.0.1:` + backend + `;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header Host $http_host;
			proxy_read_timeout 2s;
		}
	}`)
	r := h.explain("ws://127.0.0.1:"+port+"/echo", "--probe-idle", "10s")
	if r.Idle == nil || !r.Idle.Cut || len(r.Warnings) == 0 || r.Warnings[0].ID != "idle-timeout" {
		t.Errorf("got %s", r.text)
	}
}

// nginx ends TLS. A page of https://localhost is of the server's own origin only when the server believes nginx about
// the scheme.
func TestNginxEndsTLS(t *testing.T) {
	h := newHome(t)
	h.certificate()
	block := func(backend string) string {
		return `server {
			listen 127.0.0.1:PORT ssl;
			ssl_certificate cert.pem;
			ssl_certificate_key key.pem;
			location / {
				proxy_pass http://127.0.0.1:` + backend + `;
				proxy_http_version 1.1;
				proxy_set_header Upgrade $http_upgrade;
				proxy_set_header Connection "upgrade";
				proxy_set_header Host $http_host;
				proxy_set_header X-Forwarded-Proto $scheme;
				proxy_set_header X-Forwarded-For $remote_addr;
			}
		}`
	}
	t.Run("not believed", func(t *testing.T) {
		h := &home{t, h.dir}
		backend, _ := h.serve("--listen", "127.0.0.1:0", "--tls", "off")
		r := h.explain("wss://localhost:"+h.nginx(block(backend))+"/echo", "--cacert", "cert.pem")
		if r.Diagnosis == nil || r.Diagnosis.ID != "origin-refused" {
			t.Errorf("got %s", r.text)
		}
	})
	t.Run("believed", func(t *testing.T) {
		h := &home{t, h.dir}
		config := h.write("handfast.yaml", `
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
		backend, out := h.serve("--config", config)
		url := "wss://localhost:" + h.nginx(block(backend)) + "/echo"
		if r := h.explain(url, "--cacert", "cert.pem"); !r.Opened || r.Diagnosis != nil {
			t.Errorf("got %s\n%s", r.text, out)
		}
		h.echoes(url, "--cacert", "cert.pem")
	})
}

// certificate makes a self-signed one for localhost, as cert.pem and key.pem.
func (h *home) certificate() {
	h.t.Helper()
	out, err := h.command(h.t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1").CombinedOutput()
	if err != nil {
		h.t.Fatalf("openssl: %v\n%s", err, out)
	}
}
