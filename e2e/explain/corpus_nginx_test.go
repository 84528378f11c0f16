//go:build e2e && servers

package explain

import (
	"net/http"
	"strings"
)

// upgrades are the lines with which nginx forwards a WebSocket.
const upgrades = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; "

// nginx starts with the text of a server block.
func nginx(l *lab, conf string) {
	limit := ""
	if strings.Contains(conf, "limit_req ") {
		limit = "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;"
	}
	listen := "listen 127.0.0.1:@PORT;"
	if strings.Contains(conf, "listen ") {
		listen = ""
	}
	l.run("nginx", "-e", "stderr", "-c", l.file("nginx.conf", `daemon off; pid @HOME/pid; worker_processes 1; error_log stderr crit;
events {}
http {
	access_log off; `+limit+`
	client_body_temp_path @HOME/a; proxy_temp_path @HOME/b; fastcgi_temp_path @HOME/c; uwsgi_temp_path @HOME/d; scgi_temp_path @HOME/e;
	server { `+listen+" "+conf+" }\n}\n"))
	if limit != "" {
		if resp, err := http.Get(l.text("http://127.0.0.1:@PORT/ws")); err == nil { // uses up what the limit allows
			resp.Body.Close()
		}
	}
}

func nginxes() []program {
	const back = "location / { proxy_pass http://127.0.0.1:@BACK; " + upgrades + "proxy_set_header Host $http_host; }"
	const tls = "listen 127.0.0.1:@PORT ssl; ssl_certificate_key @KEY; ssl_certificate @PEM; "
	wss, trust := "wss://127.0.0.1:@PORT/ws", []string{"--cacert", "@CA"}
	return []program{{name: "nginx", needs: "nginx", start: nginx, samples: []sample{
		{name: "healthy", conf: back, truth: "Nothing is wrong.", must: []string{"healthy"}},
		{name: "no upgrade headers", conf: "location / { proxy_pass http://127.0.0.1:@BACK; }",
			truth: "nginx forwards neither Upgrade nor Connection.", must: []string{"=upgrade-stripped", "proxy_set_header Upgrade"}, never: []string{"=handshake-header-lost"}},
		{name: "no proxy_http_version", conf: "location / { proxy_pass http://127.0.0.1:@BACK; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }",
			truth: "nginx forwards the request as HTTP/1.0, which the server rejects.", must: []string{"proxy_http_version 1.1"}, never: []string{"=origin-refused", "Most likely nginx in front of it did not forward the Upgrade and Connection headers"}},
		{name: "no Connection header", conf: "location / { proxy_pass http://127.0.0.1:@BACK; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; }",
			truth: "nginx forwards Upgrade, but Connection: close.", must: []string{"=upgrade-stripped|handshake-header-lost", "proxy_set_header Connection"}, never: []string{"=origin-refused"}},
		{name: "an upstream that is down", conf: "location / { proxy_pass http://127.0.0.1:@DEAD; " + upgrades + "}",
			truth: "Nothing listens on the upstream's port: 502.", must: []string{"=status-502", "backend runs|not run|is down|running|listen"}, never: []string{"=upgrade-stripped", "=status-504"}},
		{name: "an upstream of TLS", conf: "location / { proxy_pass http://127.0.0.1:@TLSBACK; " + upgrades + "}",
			truth: "The upstream expects TLS, and nginx speaks plain HTTP to it: 502.", must: []string{"=status-502", "https|TLS|scheme"}, never: []string{"=upgrade-stripped"}},
		{name: "an upstream that closes", conf: "location / { proxy_pass http://127.0.0.1:@GONE; " + upgrades + "}",
			truth: "The upstream closes the connection without a response: 502.", must: []string{"=status-502", "crash|clos|log"}, never: []string{"=upgrade-stripped"}},
		{name: "an upstream that does not answer", conf: "location / { proxy_pass http://127.0.0.1:@MUTE; proxy_read_timeout 2s; " + upgrades + "}",
			truth: "The upstream does not answer within proxy_read_timeout: 504.", must: []string{"=status-504"}, never: []string{"=upgrade-stripped"}},
		{name: "auth_basic", conf: "auth_basic chat; auth_basic_user_file /dev/null; " + back, truth: "nginx wants Basic credentials: 401.",
			must: []string{"=status-401", "Basic"}, never: []string{"=upgrade-stripped", "=origin-refused"}},
		{name: "a redirect to https", conf: "return 301 https://$host$request_uri;", truth: "nginx redirects to https: the URL must be wss.",
			must: []string{"=status-301", "wss://"}, never: []string{"=upgrade-stripped"}},
		{name: "limit_req", conf: "limit_req zone=one; " + back, truth: "The client has used up limit_req: 503 from nginx.",
			must: []string{"=status-503|status-429", "limit|too many"}, never: []string{"=upgrade-stripped"}},
		{name: "limit_req with 429", conf: "limit_req zone=one; limit_req_status 429; " + back, truth: "The client has used up limit_req: 429.",
			must: []string{"=status-429"}, never: []string{"=upgrade-stripped"}},
		{name: "another location", conf: "location /app/ { proxy_pass http://127.0.0.1:@BACK; " + upgrades + "}", truth: "nginx has no location for the path: its own 404.",
			must: []string{"=status-404", "nginx", "location|path"}, never: []string{"=upgrade-stripped", "=origin-refused"}},
		{name: "the upstream's 404", conf: back, url: at + "/chat", truth: "The server behind nginx has nothing at this path: 404.",
			must: []string{"=status-404", "path"}, never: []string{"=upgrade-stripped", "=origin-refused"}},
		{name: "another Host", conf: "location / { proxy_pass http://127.0.0.1:@TORNADO; " + upgrades + "}",
			truth: "nginx sends the upstream's address as Host, so Tornado takes the origin for another site: 403.", must: []string{"=origin-refused", "proxy_set_header Host|Host header"},
			never: []string{"=upgrade-stripped"}},
		{name: "deny", conf: "deny all; " + back, truth: "nginx denies the client's address: its own 403.", must: []string{"=status-403", "nginx|deny|address"},
			never: []string{"=upgrade-stripped", "=origin-refused"}},
		{name: "proxy_read_timeout", conf: strings.Replace(back, "proxy_pass", "proxy_read_timeout 2s; proxy_pass", 1), args: []string{"--probe-idle", "8s"},
			truth: "nginx ends connections that are idle for two seconds.", must: []string{"=idle-timeout", "proxy_read_timeout"}},
		{name: "a single page application", conf: "root @HOME; location / { try_files $uri /nginx.conf; default_type text/html; }",
			truth: "The path is not proxied: nginx answers every path with the application's page.", must: []string{"=status-200", "location|path"},
			never: []string{"=origin-refused"}},
		{name: "444", conf: "return 444;", truth: "nginx's default server closes the connection without a response, as for an unknown Host.",
			must: []string{"=closed-before-response", "Host|name|444"}, never: direct},
		{name: "a large cookie", conf: "large_client_header_buffers 4 1k; " + back, args: []string{"--cookie", "a=" + strings.Repeat("x", 3000)},
			truth: "The request's header is larger than nginx allows: 400.", must: []string{"=status-400", "large|big|size"}, never: []string{"=upgrade-stripped", "=origin-refused"}},
		{name: "healthy TLS", conf: tls + back, url: wss, args: trust, truth: "Nothing is wrong.", must: []string{"healthy"}},
		{name: "plain HTTP to TLS", conf: tls + back, truth: "The port speaks TLS, the client plain HTTP: 400.", must: []string{"=plain-to-tls-port"}, never: direct},
		{name: "TLS to plain HTTP", conf: back, url: wss, truth: "The port speaks plain HTTP.", must: []string{"=tls-to-plain-port"}},
		{name: "an expired certificate", conf: "listen 127.0.0.1:@PORT ssl; ssl_certificate_key @OLD; ssl_certificate @OLD; " + back, url: wss, args: trust,
			truth: "The certificate expired two days ago.", must: []string{"=cert-expired"}},
		{name: "a client certificate", conf: tls + "ssl_client_certificate @CA; ssl_verify_client on; " + back, url: wss, args: trust,
			truth: "nginx requires a client certificate: 400.", must: []string{"=client-cert-required"}, never: []string{"=upgrade-stripped"}},
		{name: "TLS 1.1 only", conf: tls + "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0; " + back, url: wss, args: trust,
			truth: "nginx speaks no newer TLS than 1.1.", must: []string{"=tls-version-too-old"}},
		{name: "an unknown server name", conf: tls + "ssl_reject_handshake on;", url: "wss://localhost:@PORT/ws", args: trust,
			truth: "nginx has no certificate for the name, and rejects the TLS handshake.", must: []string{"=tls-unknown-name"}},
	}}}
}
