package gateway

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/libhints"
	"github.com/handfast/handfast/websocket"
)

// addrs returns the addresses of the n open connections. It waits until there are n, because a client may see its connection a moment
// before the registry does.
func (r *running) addrs(t *testing.T, n int) (list []string) {
	t.Helper()
	bounded.Until(t, func() bool { return r.conns.Len() == n })
	for _, e := range r.conns.List(registry.Filter{}) {
		list = append(list, e.Addr.String())
	}
	return list
}

// Forwarded headers are used only from trusted proxies.
func TestClientBehindProxies(t *testing.T) {
	r := run(t, parse(t, `
trusted_proxies: [127.0.0.9]
limits: {connections_per_address: 1}
endpoints:
	- {path: /open, target: echo, auth: [anonymous]}
`))
	header := http.Header{"X-Forwarded-For": {"203.0.113.66, 192.0.2.1"}}
	r.open(t, "/open", withLocalAddr("127.0.0.9", &websocket.DialOptions{Header: header}))
	if got := r.addrs(t, 1); got[0] != "192.0.2.1" {
		t.Errorf("addresses %v", got)
	}
	waitForLog(t, &r.audited, `"connected"`, `"addr":"192.0.2.1"`)
	if e := r.refuse(t, "/open", withLocalAddr("127.0.0.9", &websocket.DialOptions{Header: header})); e.Status != 429 {
		t.Errorf("%d", e.Status)
	}
	if got := r.rec.refused.List()[0]; got.Addr != "192.0.2.1" || got.Via != "127.0.0.9" {
		t.Errorf("remembered %+v", got)
	}
	// If an untrusted peer sends the same header, the header is ignored and the address of the peer is used.
	r.open(t, "/open", withLocalAddr("127.0.0.8", &websocket.DialOptions{Header: header}))
	if got := strings.Join(r.addrs(t, 2), " "); !strings.Contains(got, "127.0.0.8") {
		t.Errorf("addresses %v", got)
	}
}

// The client's address is that in the PROXY header of a balancer, or the one sent by a proxy behind that balancer.
func TestClientBehindBalancer(t *testing.T) {
	r := run(t, parse(t, `
listen:
	- {address: "127.0.0.1:0", hosts: any, tls: off, proxy_protocol: {from: [127.0.0.9]}}
trusted_proxies: [10.0.0.0/8]
endpoints:
	- {path: /open, target: echo, auth: [anonymous]}
`))
	for _, tt := range []struct{ from, header, forwarded, want string }{
		{"127.0.0.9", "PROXY TCP4 192.0.2.1 198.51.100.2 56286 443\r\n", "", "192.0.2.1"},
		{"127.0.0.9", "PROXY TCP4 192.0.2.1 198.51.100.2 56286 443\r\n", "203.0.113.1", "192.0.2.1"},
		{"127.0.0.9", "PROXY TCP4 10.0.0.1 198.51.100.2 56286 443\r\n", "203.0.113.1", "203.0.113.1"},
		{"127.0.0.8", "", "203.0.113.1", "127.0.0.8"},
	} {
		opts := proxyHeaderOptions(tt.from, tt.header)
		if tt.forwarded != "" {
			opts.Header = http.Header{"Forwarded": {"for=" + tt.forwarded}}
		}
		c := r.open(t, "/open", opts)
		if got := r.addrs(t, 1); got[0] != tt.want {
			t.Errorf("%+v: addresses %v", tt, got)
		}
		c.CloseNow()
		bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	}
}

// The origin check uses the scheme that the browser used, as reported by a trusted proxy.
func TestOriginBehindProxy(t *testing.T) {
	r := run(t, parse(t, "trusted_proxies: [127.0.0.9]\nendpoints:\n\t- {path: /open, target: echo, auth: [anonymous]}"))
	header := func() http.Header {
		return http.Header{"Origin": {"https://app.example.com"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}}
	}
	r.open(t, "/open", withLocalAddr("127.0.0.9", &websocket.DialOptions{Header: header()}))
	e := r.refuse(t, "/open", withLocalAddr("127.0.0.8", &websocket.DialOptions{Header: header()}))
	if got := r.rec.refused.List()[0]; e.Status != 403 || got.Stage != "origin" || got.Origin != "https://app.example.com" || got.Clause == "" {
		t.Errorf("%d, remembered %+v", e.Status, got)
	}
}

// Hints in the log name configuration keys; responses to clients do not name library options.
func TestRefusalsNameSettings(t *testing.T) {
	r := run(t, parse(t, "endpoints:\n\t- {path: /open, target: echo, auth: [anonymous]}"))
	for _, tt := range []struct{ path, origin, hint, body string }{
		{"/open", "https://evil.example", "the endpoint's origins", "allowed origins"},
		{"/open", "https://127.0.0.1:" + strings.Split(r.URLs()[0], ":")[2], "trusted_proxies", "trusted proxies"},
		{"/nothing", "", "add an endpoint", "404 Not Found\n\nThere is no endpoint"},
	} {
		header := http.Header{}
		if tt.origin != "" {
			header.Set("Origin", tt.origin)
		}
		e := r.refuse(t, tt.path, &websocket.DialOptions{Header: header})
		hint, body := r.rec.refused.List()[0].Hint, string(e.Body)
		if !strings.Contains(hint, tt.hint) || !strings.Contains(body, tt.body) || strings.Contains(hint+body, "Options") || strings.Contains(hint+body, "Origins") {
			t.Errorf("%s from %q: hint %q, body %q", tt.path, tt.origin, hint, body)
		}
	}
}

// Every library hint that names a server option is replaced by a hint that names configuration keys.
func TestHintsNameSettings(t *testing.T) {
	hints := libhints.Named(t, "..", "HintServer")
	for name, hint := range hints {
		got := settingsHint(hint)
		if got == hint || got == "" || strings.Contains(got, "Options") || strings.Contains(got, "Endpoint.") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(settings) != len(hints) {
		t.Errorf("%d translations of %d hints", len(settings), len(hints))
	}
}

func TestRedirectAndHSTS(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	r := run(t, parse(t, `
listen:
	- {address: "127.0.0.1:0", tls: dev, hsts: 24h}
	- {address: "127.0.0.1:0", hosts: any, tls: off, redirect_https: true}
endpoints:
	- {path: /open, target: echo, auth: [anonymous]}
`))
	if len(r.URLs()) != 1 {
		t.Fatalf("URLs %q", r.URLs())
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.URLs()[0], "https://"))
	if err != nil {
		t.Fatal(err)
	}
	plain := r.entrance.bound[1].url
	for _, tt := range []struct{ method, host, path, want string }{
		{"GET", "app.example.com", "/a%20b?x=1", "301 https://app.example.com:" + port + "/a%20b?x=1"},
		{"HEAD", "app.example.com:8080", "/", "301 https://app.example.com:" + port + "/"},
		{"POST", "[::1]:8080", "/", "308 https://[::1]:" + port + "/"},
		{"GET", "evil.example/path?", "/", "400 "},
	} {
		resp, _ := requestPage(t, tt.method, plain+tt.path, http.Header{"Host": {tt.host}})
		if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Location")); got != tt.want {
			t.Errorf("%s %s%s: %s", tt.method, tt.host, tt.path, got)
		}
	}
	_, err = websocket.Dial(bounded.Context(t), plain+"/open", nil)
	e, ok := err.(*websocket.HandshakeError) //nolint:errorlint // Dial returns a *HandshakeError unwrapped
	if !ok || e.Status != 403 || !strings.Contains(string(e.Body), "wss://127.0.0.1:"+port+"/open") {
		t.Errorf("a WebSocket without TLS: %v", err)
	}
	bounded.Until(t, func() bool { return len(r.rec.refused.List()) == 1 })
	if got := r.rec.refused.List()[0]; got.Stage != "check" || got.Status != 403 || got.Path != "/open" || got.Addr != "127.0.0.1" ||
		!strings.Contains(got.Reason, "only redirects to https") || got.Hint != "use wss://127.0.0.1:"+port+"/open" {
		t.Errorf("remembered %+v", got)
	}
	pool := x509.NewCertPool()
	pool.AddCert(r.Dev().CA())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	resp, err := client.Get(r.URLs()[0] + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Strict-Transport-Security"); got != "max-age=86400" {
		t.Errorf("HSTS %q", got)
	}
	c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/open", &websocket.DialOptions{TLS: &tls.Config{RootCAs: pool}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if h := c.Handshake().Header; h.Get("Strict-Transport-Security") != "" {
		t.Errorf("HSTS on a WebSocket: %v", h)
	}
}

// A failed TLS handshake is recorded with a hint.
func TestRefusedTLS(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	cfg := plainConfig("127.0.0.1:0")
	cfg.Listen[0].TLS.Mode = "dev"
	r := run(t, cfg)
	for want, try := range map[string]func(net.Conn){
		"does not accept": func(c net.Conn) {
			_ = tls.Client(c, &tls.Config{ServerName: "localhost"}).HandshakeContext(bounded.Context(t))
		},
		"too old": func(c net.Conn) {
			_ = tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}).
				HandshakeContext(bounded.Context(t))
		},
		"plain HTTP": func(c net.Conn) {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
			line, _ := bufio.NewReader(c).ReadString('\n')
			if !strings.Contains(line, "400") {
				t.Errorf("HTTP got %q", line)
			}
		},
	} {
		c, err := new(net.Dialer).DialContext(bounded.Context(t), "tcp", r.entrance.bound[0].ports[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		try(c)
		bounded.Until(t, func() bool {
			list := r.rec.refused.List()
			return len(list) > 0 && strings.Contains(list[0].Hint, want) && list[0].Stage == "tls"
		})
		c.Close()
	}
}

// A listener accepts the configured versions of TLS, and no older ones.
func TestMinVersion(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for min, want := range map[string]bool{"1.2": true, "1.3": false} {
		cfg := plainConfig("127.0.0.1:0")
		cfg.Listen[0].TLS.Mode, cfg.Listen[0].TLS.MinVersion = "dev", min
		r := run(t, cfg)
		for _, most := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: most}}
			c, err := d.DialContext(bounded.Context(t), "tcp", r.entrance.bound[0].ports[0].Addr().String())
			if err == nil {
				c.Close()
			}
			refused := err != nil && strings.Contains(err.Error(), "remote error: tls: protocol version not supported")
			if ok := most == tls.VersionTLS13 || want && most == tls.VersionTLS12; ok != (err == nil) || !ok && !refused {
				t.Errorf("min_version %s, a client with %s: %v", min, tls.VersionName(most), err)
			}
		}
	}
}

// A redirect contains the port of the TLS listener, unless it is the default port.
func TestRedirectNamesThePort(t *testing.T) {
	s := &entrance{rec: newRecorder(nil, observeNothing)}
	for _, tt := range []struct{ port, host, want string }{
		{"443", "app.example.com:80", "https://app.example.com/a?x=1"},
		{"443", "[::1]:80", "https://[::1]/a?x=1"},
		{"443", "[::1]", "https://[::1]/a?x=1"},
		{"8443", "app.example.com", "https://app.example.com:8443/a?x=1"},
		{"8443", "[::1]", "https://[::1]:8443/a?x=1"},
		{"", "app.example.com:80", "https://app.example.com/a?x=1"},
	} {
		s.securePort.Store(&tt.port)
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/a?x=1", nil)
		r.Host = tt.host
		s.redirect(w, r)
		if got := w.Header().Get("Location"); got != tt.want || w.Code != http.StatusMovedPermanently {
			t.Errorf("%s with port %q: %d %s", tt.host, tt.port, w.Code, got)
		}
		w = httptest.NewRecorder()
		r.Header.Set("Upgrade", "websocket")
		s.redirect(w, r)
		want := "wss" + strings.TrimSuffix(strings.TrimPrefix(tt.want, "https"), "?x=1") // a query may hold a token
		if w.Code != http.StatusForbidden || !strings.HasSuffix(w.Body.String(), "use "+want+"\n") {
			t.Errorf("a WebSocket at %s with port %q: %d %q", tt.host, tt.port, w.Code, w.Body)
		}
	}
}
