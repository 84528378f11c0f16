package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/balance/proxy"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// The key of the hash policy can be any of these parts of a request.
func TestBalanceKey(t *testing.T) {
	r := httptest.NewRequest("GET", "http://host/room/1?room=blue&room=red&empty=", nil)
	r.Header.Set("X-Room", "green")
	r.AddCookie(&http.Cookie{Name: "room", Value: "white"})
	full := &proxy.Request{Request: r, User: "alice", Source: netip.MustParseAddrPort("[2001:db8::1]:4000")}
	for text, want := range map[string]string{
		"path": "/room/1", "identity": "alice", "address": "2001:db8::1",
		"query:room": "blue", "query:empty": "", "query:none": "",
		"header:X-Room": "green", "header:x-room": "green", "header:none": "",
		"cookie:room": "white", "cookie:none": "",
	} {
		var k config.AffinityKey
		if err := k.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := keyOf(k)(full); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// The configured parts of a request identify a client that resumes a session.
func TestBalanceResuming(t *testing.T) {
	a := newBackend(t, "a")
	r := run(t, parse(t, balancing([]*backend{a}, "storm: {resuming: {header: X-Resume, query: sid}}")))
	resuming := r.site.Load().balancers("")[0].Settings().Resuming
	for _, c := range []struct {
		target, field string
		want          bool
	}{{"/", "", false}, {"/", "X-Resume", true}, {"/?sid=1", "", true}, {"/?sid=", "X-Other", false}} {
		q := httptest.NewRequest(http.MethodGet, c.target, nil)
		if c.field != "" {
			q.Header.Set(c.field, "1")
		}
		if got := resuming(&proxy.Request{Request: q}); got != c.want {
			t.Errorf("%+v: got %v, want %v", c, got, c.want)
		}
	}
}

// Resumed TLS sessions are counted, and have priority over new ones.
func TestBalanceCountsResumedTLS(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	a := newBackend(t, "a")
	r := run(t, parse(t, "listen: [{address: '127.0.0.1:0', tls: dev}]"+balancing([]*backend{a}, "")))
	pool := x509.NewCertPool()
	pool.AddCert(r.Dev().CA())
	opts := &websocket.DialOptions{TLS: &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
	for range 3 {
		c, _ := r.greeting(t, "/", opts) // the greeting arrives after the session ticket
		c.CloseNow()
	}
	r.metric(t, `handfast_tls_handshakes_total{session="new"} 1`)
	r.metric(t, `handfast_tls_handshakes_total{session="resumed"} 2`)
}

// Clients with the same key get the same server, and return to it.
func TestBalanceHash(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := run(t, parse(t, balancing([]*backend{a, b}, "policy: hash\n\t      key: query:room")))
	of := map[string]string{}
	for range 2 {
		for n := range 24 { // all of them get the same server by chance once in eight million runs
			room := strconv.Itoa(n)
			c, text := r.greeting(t, "/?room="+room, nil)
			c.CloseNow() // so that neither server exceeds its share
			bounded.Until(t, func() bool { return a.open.Load()+b.open.Load() == 0 })
			if of[room] != "" && of[room] != text[:1] {
				t.Errorf("room %s: got server %s, want %s", room, text[:1], of[room])
			}
			of[room] = text[:1]
		}
	}
	seen := map[string]bool{}
	for _, server := range of {
		seen[server] = true
	}
	if len(seen) != 2 {
		t.Errorf("got all rooms on one server: %v", of)
	}
}

// The close frame for a client that has to reconnect has a code that the SDKs of its protocol understand, unless the configuration
// sets one.
func TestFarewell(t *testing.T) {
	const moved, none, lost = proxy.CauseMoved, proxy.CauseNoServer, proxy.CauseLost
	for _, c := range []struct {
		cause             proxy.Cause
		subprotocol, path string
		set               websocket.Code
		want              websocket.Code
		reason            string
	}{
		{moved, "", "/chat", 0, websocket.CodeServiceRestart, "moved to another server; retry-after=1.5"},
		{none, "", "/chat", 0, websocket.CodeServiceRestart, "no other server accepts clients; retry-after=1.5"},
		{moved, "", "/app/key", 0, 4200, "moved to another server; retry-after=1.5"},
		{none, "", "/app/key", 0, 4100, "no other server accepts clients; retry-after=1.5"},
		{lost, "", "/app/key", 0, 4100, "the server is gone; retry-after=1.5"},
		{moved, "", "/application", 0, websocket.CodeServiceRestart, "moved to another server; retry-after=1.5"},
		{moved, "centrifuge-json", "/chat", 0, 3001, "shutdown"},
		{lost, "centrifuge-protobuf", "/chat", 0, 3001, "shutdown"},
		{none, "", "/v1/connection/websocket", 0, 3001, "shutdown"},
		{moved, "", "/app/key", websocket.CodeTryAgainLater, websocket.CodeTryAgainLater, "moved to another server; retry-after=1.5"},
		{lost, "centrifuge-json", "/connection/websocket", websocket.CodeGoingAway, websocket.CodeGoingAway, "the server is gone; retry-after=1.5"},
	} {
		code, reason := farewell(c.set)(proxy.Farewell{Cause: c.cause, Subprotocol: c.subprotocol, Path: c.path, RetryAfter: 1500 * time.Millisecond})
		if code != c.want || reason != c.reason {
			t.Errorf("%q, %q at %s: got %d %q, want %d %q", c.cause, c.subprotocol, c.path, code, reason, c.want, c.reason)
		}
	}
}

// A client whose server is lost reconnects as the SDKs of its protocol do; Pusher clients do not all reconnect at the same time.
func TestBalanceLost(t *testing.T) {
	a := newBackend(t, "a")
	r := run(t, parse(t, balancing([]*backend{a}, "")))
	clients := map[websocket.Code]*websocket.Conn{}
	for code, path := range map[websocket.Code]string{websocket.CodeServiceRestart: "/chat", pusherBackOff: "/app/key", centrifugoMoved: "/connection/websocket"} {
		clients[code], _ = r.greeting(t, path, nil)
	}
	a.cut()
	for want, c := range clients {
		if e := readCloseError(t, c); e.Code != want || !e.ByPeer {
			t.Errorf("got %v, want a close with %d", e, want)
		}
	}
}

// A drain closes each client with the code that its protocol defines, which also depends on whether another server accepts clients.
func TestBalanceFarewell(t *testing.T) {
	for cause, pusher := range map[proxy.Cause]websocket.Code{proxy.CauseMoved: pusherMoved, proxy.CauseNoServer: pusherBackOff} {
		a, b := newBackend(t, "a"), newBackend(t, "b")
		r := run(t, parse(t, balancing([]*backend{a, b}, "")))
		drain := func(method string, server *backend) {
			t.Helper()
			if status, body := r.callAdmin(t, method, "/balance/drain", url.Values{"server": {server.id()}}); status != http.StatusOK {
				t.Fatalf("%s: got %d %s, want 200", method, status, body)
			}
		}
		drain("POST", b) // so that all clients go to a
		clients := map[websocket.Code]*websocket.Conn{}
		for code, path := range map[websocket.Code]string{websocket.CodeServiceRestart: "/chat", pusher: "/app/key", centrifugoMoved: "/connection/websocket"} {
			clients[code], _ = r.greeting(t, path, nil)
		}
		if cause == proxy.CauseMoved {
			drain("DELETE", b)
		}
		drain("POST", a)
		for want, c := range clients {
			e := readCloseError(t, c)
			if e.Code != want || !e.ByPeer || want != centrifugoMoved && !strings.HasPrefix(e.Reason, string(cause)+"; retry-after=") {
				t.Errorf("got %v, want a close with %d and %q", e, want, cause)
			}
		}
		waitForLog(t, &r.log, "a server's state changed", a.id(), "state=draining", "connections=3")
		waitForLog(t, &r.log, "a server has no connection left", a.id(), "state=draining", "connections=0")
	}
}

// A server receives the PROXY protocol header first, in the configured version.
func TestBalanceProxyProtocol(t *testing.T) {
	for setting, want := range map[string]string{
		"off": "GET / HTTP/1.1\r\n", "v1": "PROXY TCP4 127.0.0.1 127.0.0.1 ", "v2": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &backend{Server: &httptest.Server{Listener: ln}}
		r := run(t, parse(t, balancing([]*backend{server}, "retries: 0\n\t      request: {proxy_protocol: '"+setting+"'}")))
		got := make([]byte, len(want))
		read := make(chan error, 1)
		go func() {
			nc, err := ln.Accept()
			if err == nil {
				_, err = io.ReadFull(nc, got)
				nc.Close()
			}
			read <- err
		}()
		if resp, _ := requestPage(t, "GET", r.URLs()[0]+"/", nil); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: got %s, want 502", setting, resp.Status)
		}
		if err := bounded.Receive(t, read); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", setting, got, err, want)
		}
		ln.Close()
	}
}

// Servers are discovered by name; a reload that removes the name removes them.
func TestBalanceDNS(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	_, port, _ := strings.Cut(strings.TrimPrefix(a.id(), "ws://"), ":")
	r := run(t, parse(t, balancing(nil, "dns: {url: 'ws://localhost:"+port+"', every: 1s}")))
	servers := func() string {
		_, body := r.callAdmin(t, "GET", "/balance", url.Values{})
		return body
	}
	bounded.Until(t, func() bool { return strings.Contains(servers(), a.id()) })
	if _, name := r.greeting(t, "/", nil); name[:1] != "a" { // localhost may also have an IPv6 address, which is skipped
		t.Errorf("got server %q, want a", name)
	}
	if err := r.Reload(t.Context(), r.with(t, balancing([]*backend{b}, ""))); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, name := r.greeting(t, "/", nil); name[:1] != "b" {
			t.Errorf("after a reload: got server %q, want b", name)
		}
	}
}

// A response that never ends is cut off when the server stops.
func TestStopCutsPages(t *testing.T) {
	asked := make(chan struct{})
	slow := &backend{Server: httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))}
	t.Cleanup(slow.Close)
	r := run(t, parse(t, "drain: {spread: 0s, timeout: 100ms}\n"+balancing([]*backend{slow}, "")))
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.URLs()[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	bounded.Receive(t, asked)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, nc)
		close(over)
	}()
	bounded.Receive(t, over)
}

// A reload that removes the balancer closes its clients. The target is closed after its last client.
func TestBalanceRemovedByReload(t *testing.T) {
	b := newBackend(t, "a")
	r := run(t, parse(t, balancing([]*backend{b}, "")))
	c, _ := r.greeting(t, "/", nil)
	text := strings.Replace(balancing([]*backend{b}, ""), "name: front", "name: other", 1)
	if err := r.Reload(bounded.Context(t), r.with(t, text)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(bounded.Context(t)); websocket.CloseCode(err) != websocket.CodeGoingAway {
		t.Errorf("got %v, want a close with 1001", err)
	}
	bounded.Until(t, func() bool {
		_, body := r.callAdmin(t, http.MethodGet, "/connections", url.Values{})
		return !strings.Contains(body, `"front"`)
	})
	bounded.Until(t, func() bool { return b.open.Load() == 0 })
}

// The metrics show handshake admission for each endpoint, by priority.
func TestAdmissionInMetrics(t *testing.T) {
	r := run(t, parse(t, balancing([]*backend{newBackend(t, "a")}, "storm: {resuming: {header: X-Resume}}")))
	r.greeting(t, "/", nil)
	for range 2 {
		r.greeting(t, "/", &websocket.DialOptions{Header: http.Header{"X-Resume": {"1"}}})
	}
	_, metrics := requestPage(t, http.MethodGet, r.AdminURL()+"/metrics", nil)
	for _, want := range []string{
		`handfast_admission_limited{endpoint="front"} 0`, `handfast_admission_rate{endpoint="front"} 1000`,
		`handfast_admission_underway{endpoint="front"} 0`, `handfast_admission_waiting{endpoint="front"} 0`,
		`handfast_admission_handshakes_total{endpoint="front",outcome="admitted",priority="new"} 1`,
		`handfast_admission_handshakes_total{endpoint="front",outcome="admitted",priority="resuming"} 2`,
		`handfast_admission_handshakes_total{endpoint="front",outcome="refused",priority="resuming"} 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics: got no line %s", want)
		}
	}
}
