package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// pageFrom requests a page from another address of this machine. It returns the status, or 0 if there was no response, and the
// body.
func pageFrom(t *testing.T, addr, method, url string, header http.Header) (int, string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: netip.MustParseAddr(addr).AsSlice()}}
	req, err := http.NewRequestWithContext(bounded.Context(t), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := (&http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// For every request, the address of a client behind a trusted proxy is the one that the proxy reports; other clients cannot spoof
// theirs.
func TestForwardedOnEveryPath(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	target := &fakeTarget{register: func(mux *http.ServeMux) {
		mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}}
	const config = `
listen:
	- {address: "127.0.0.1:0", hosts: any, tls: off}
	- {address: "127.0.0.1:0", tls: dev}
	- {address: "127.0.0.1:0", hosts: any, tls: off, redirect_https: true}
trusted_proxies: [127.0.0.9]
auth:
	users: {jwt: {secret: "%s"}}
	tickets: {ticket: {path: /ticket, auth: [users]}}
logout: {path: /logout, auth: [users]}
endpoints:
	- {name: open, path: /open, target: echo, auth: [anonymous]}
	- {name: chat, path: /chat, target: echo, auth: [tickets]}
`
	r := runTargets(t, parse(t, config, key), sameTarget(target))
	upgrade := func(h http.Header) http.Header {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
		h.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		return h
	}
	evil := func(h http.Header) http.Header { h.Set("Origin", "https://evil.example"); return h }
	same := func(h http.Header) http.Header { return h }
	for _, tt := range []struct {
		name, method, path string
		listener, status   int
		header             func(http.Header) http.Header
	}{
		{"an endpoint", "GET", "/open", 0, 403, func(h http.Header) http.Header { return evil(upgrade(h)) }},
		{"an endpoint with credentials", "GET", "/chat", 0, 401, upgrade},
		{"no endpoint", "GET", "/nothing", 0, 404, upgrade},
		{"a listener that redirects", "GET", "/open", 2, 403, upgrade},
		{"a page of a target", "GET", "/page", 0, 403, evil},
		{"a ticket", "POST", "/ticket", 0, 401, same},
		{"a logout", "POST", "/logout", 0, 401, same},
	} {
		for _, from := range []struct{ addr, client, via string }{
			{"127.0.0.9", "192.0.2.1", "127.0.0.9"},
			{"127.0.0.8", "127.0.0.8", ""},
		} {
			for name, value := range map[string]string{"X-Forwarded-For": "203.0.113.66, 192.0.2.1", "Forwarded": "for=203.0.113.66, for=192.0.2.1"} {
				before := len(r.rec.refused.List())
				status, body := pageFrom(t, from.addr, tt.method, r.entrance.bound[tt.listener].url+tt.path, tt.header(http.Header{name: {value}}))
				bounded.Until(t, func() bool { return len(r.rec.refused.List()) == before+1 })
				if got := r.rec.refused.List()[0]; status != tt.status || got.Addr != from.client || got.Via != from.via || got.Status != tt.status {
					t.Errorf("%s, %s from %s: %d %q, remembered %+v", tt.name, name, from.addr, status, body, got)
				}
			}
		}
	}
	if status, _ := pageFrom(t, "127.0.0.9", "GET", r.URLs()[0]+"/page", http.Header{"X-Forwarded-For": {"192.0.2.77"}}); status != 204 {
		t.Errorf("the page: %d", status)
	}
	waitForLog(t, &r.audited, `"page"`, `"path":"/page"`, `"addr":"192.0.2.77"`, `"status":204`)
}

// An address that occupies all slots of the admin listener loses a slot to each connection from another address.
func TestAdminPlacesOfAnAddress(t *testing.T) {
	r := run(t, parse(t, "endpoints: [{path: /open, target: echo, auth: [anonymous]}]"))
	admin := strings.TrimPrefix(r.AdminURL(), "http://")
	greedy := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 8)}}
	cut := make(chan struct{}, adminMaxConns+1)
	for range adminMaxConns {
		nc, err := greedy.DialContext(bounded.Context(t), "tcp", admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		go func() { // returns when the cleanup closes the connection
			_, _ = nc.Read(make([]byte, 1))
			cut <- struct{}{}
		}()
	}
	for range 5 {
		if status, body := pageFrom(t, "127.0.0.1", "GET", r.AdminURL()+"/livez", nil); status != 200 {
			t.Fatalf("%d %q", status, body)
		}
	}
	bounded.Receive(t, cut)
}

// A page request that arrives before a stop gets a complete response, although no new connection is accepted.
func TestDrainWaitsForPages(t *testing.T) {
	asked, base := make(chan struct{}), make(chan string, 1)
	target := &fakeTarget{register: func(mux *http.ServeMux) {
		mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
			close(asked)
			addr := strings.TrimPrefix(bounded.Receive(t, base), "http://")
			for refused := false; !refused && r.Context().Err() == nil; { // until the listener is closed
				ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
				nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
				cancel()
				if refused = err != nil; !refused {
					nc.Close()
				}
			}
			_, _ = io.WriteString(w, "the whole page")
		})
	}}
	r := runTargets(t, parse(t, "drain: {spread: 0s, timeout: 1m}\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]"), sameTarget(target))
	url := r.URLs()[0]
	base <- url
	type reply struct {
		status int
		body   string
	}
	replied := make(chan reply, 1)
	go func() {
		status, body := pageFrom(t, "127.0.0.1", "GET", url+"/page", nil)
		replied <- reply{status, body}
	}()
	bounded.Receive(t, asked)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if got := bounded.Receive(t, replied); got != (reply{200, "the whole page"}) {
		t.Errorf("%+v", got)
	}
}
