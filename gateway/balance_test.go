package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// backend is a server behind the balancer. Its first message contains its own name and the client's.
type backend struct {
	*httptest.Server
	name   string
	answer atomic.Int64 // a status for all requests; 0 means to serve them
	open   atomic.Int64

	mu   sync.Mutex
	live []*websocket.Conn // accepted connections
}

// cut closes all connections, as if the process had been killed.
func (b *backend) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.live {
		c.CloseNow()
	}
}

func newBackend(t *testing.T, name string) *backend {
	b := &backend{name: name}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := int(b.answer.Load()); status != 0 {
			w.Header().Set("Set-Cookie", "refused="+name)
			w.Header().Set("X-Why", "because")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "no, says "+name)
			return
		}
		w.Header().Set("X-Behind", name)
		who := fmt.Sprintf("%s user=%s for=%s host=%s path=%s", name, r.Header.Get("X-User"), r.Header.Get("X-Forwarded-For"), r.Host, r.URL.Path)
		if r.Header.Get("Upgrade") == "" {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, r.Method+" "+who+" "+string(body))
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{"chat"}, Header: http.Header{"Set-Cookie": {"seen=" + name}},
			Conn: websocket.ConnOptions{Compression: &websocket.Compression{}},
		})
		if err != nil {
			return
		}
		b.mu.Lock()
		b.live = append(b.live, c)
		b.mu.Unlock()
		b.open.Add(1)
		defer b.open.Add(-1)
		if c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte(who)}) != nil {
			return
		}
		for m, err := range c.Messages(r.Context()) {
			if err != nil || c.Write(r.Context(), m) != nil {
				return
			}
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) id() string { return "ws://" + b.Listener.Addr().String() }

// balancing is a configuration with a balancer at / for all clients, with additional settings.
func balancing(servers []*backend, more string) string {
	var to []string
	for _, b := range servers {
		to = append(to, b.id())
	}
	return fmt.Sprintf(`
admin: {address: 127.0.0.1:0}
endpoints:
	- name: front
	  path: /
	  target:
	    balance:
	      to: [%s]
	      health: off
	      slow_start: 0s
	      %s
	  auth: [anonymous]
`, strings.Join(to, ", "), more)
}

// greeting opens a WebSocket, and returns its first message.
func (r *running) greeting(t *testing.T, path string, opts *websocket.DialOptions) (*websocket.Conn, string) {
	t.Helper()
	c := r.open(t, path, opts)
	m, err := c.Read(bounded.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return c, string(m.Data)
}

// callAdmin sends a request to the admin listener.
func (r *running) callAdmin(t *testing.T, method, path string, form url.Values) (int, string) {
	t.Helper()
	resp, body := requestPage(t, method, r.AdminURL()+path+"?"+form.Encode(), nil)
	return resp.StatusCode, body
}

// Clients are distributed over the servers; the client gets the options that the server has negotiated, and the server gets the
// client's identity.
func TestBalance(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := run(t, parse(t, balancing([]*backend{a, b}, "request: {user_header: X-User, strip_prefix: /ws, add_prefix: /v1}")))
	seen := map[string]int{}
	var open []*websocket.Conn
	for range 4 {
		opts := &websocket.DialOptions{Subprotocols: []string{"chat"}, Header: http.Header{"X-User": {"mallory"}},
			Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}}
		c, text := r.greeting(t, "/ws/room", opts)
		seen[text[:1]]++
		host := strings.TrimPrefix(r.URLs()[0], "http://")
		if want := text[:1] + " user= for=127.0.0.1 host=" + host + " path=/v1/room"; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
		h := c.Handshake()
		if c.Subprotocol() != "chat" || !strings.HasPrefix(h.Extensions, "permessage-deflate") || !strings.HasPrefix(h.Header.Get("Set-Cookie"), "seen=") {
			t.Errorf("got subprotocol %q, extensions %q, header %v, want those of the server", c.Subprotocol(), h.Extensions, h.Header)
		}
		wantEcho(t, c)
		open = append(open, c)
	}
	if seen["a"] != 2 || seen["b"] != 2 {
		t.Errorf("got %v, want 2 clients at each server", seen)
	}
	resp, body := requestPage(t, "PUT", r.URLs()[0]+"/ws/page", nil)
	if resp.StatusCode != 200 || !strings.HasPrefix(body, "PUT "+resp.Header.Get("X-Behind")+" ") || !strings.Contains(body, "path=/v1/page") {
		t.Errorf("page: got %d %q, want 200 for /v1/page", resp.StatusCode, body)
	}
	_, metrics := r.callAdmin(t, "GET", "/metrics", url.Values{})
	if line := `handfast_server_bytes_total{direction="out",endpoint="front",server="` + a.id() + `"} `; !strings.Contains(metrics, line) || strings.Contains(metrics, line+"0\n") {
		t.Errorf("metrics: got no bytes in %s", metrics)
	}
	r.metric(t, `handfast_server_state{endpoint="front",server="`+a.id()+`",state="ready"} 1`)
	r.metric(t, `handfast_server_connections{endpoint="front",server="`+a.id()+`"} 2`)
	r.metric(t, `handfast_server_handshake_duration_seconds_count{endpoint="front",outcome="ok",server="`+a.id()+`"} 2`)
	for _, c := range open {
		if err := c.Close(websocket.CodeNormal, ""); err != nil {
			t.Error(err)
		}
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	waitForLog(t, &r.log, "msg=closed", "server="+a.id())
	waitForLog(t, &r.audited, `"disconnected"`, `"server":"`+b.id()+`"`, `"path":"/ws/room"`, `"decision":"allow"`, `"rule":"`, `"bytes_in":`)
	if log := r.log.String() + r.audited.String(); strings.Contains(log, "level=INFO msg=opened") || strings.Contains(log, `"connected"`) {
		t.Errorf("got more than one line for a connection:\n%s", log)
	}
}

// A server's rejection is passed on to the client. A failing server is skipped; if no server is left, the client gets an error, and
// the operator sees which server failed.
func TestBalanceFailures(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := run(t, parse(t, balancing([]*backend{a, b}, "policy: least_connections")))
	a.answer.Store(403)
	b.answer.Store(403)
	e := r.refuse(t, "/", nil)
	if e.Status != 403 || !strings.HasPrefix(string(e.Body), "no, says ") || e.Header.Get("X-Why") != "because" || !strings.HasPrefix(e.Header.Get("Set-Cookie"), "refused=") {
		t.Errorf("refused: got %d %q %v, want the 403 of a server", e.Status, e.Body, e.Header)
	}
	a.answer.Store(503)
	b.answer.Store(0)
	for range 3 {
		if _, text := r.greeting(t, "/", nil); text[:1] != "b" {
			t.Errorf("a fails: got %q, want b", text)
		}
	}
	b.answer.Store(502)
	if e := r.refuse(t, "/", nil); e.Status != 502 && e.Status != 503 {
		t.Errorf("both fail: got %d %q, want 502 or 503", e.Status, e.Body)
	}
	a.Close()
	b.CloseClientConnections()
	b.Close()
	e = r.refuse(t, "/", nil)
	if e.Status != 502 && e.Status != 503 || strings.Contains(string(e.Body), a.Listener.Addr().String()) {
		t.Errorf("both are closed: got %d %q, want 502 or 503 without an address", e.Status, e.Body)
	}
	waitForLog(t, &r.log, b.Listener.Addr().String(), "connect")
	if resp, body := requestPage(t, "GET", r.URLs()[0]+"/", nil); resp.StatusCode != 502 && resp.StatusCode != 503 || strings.Contains(body, a.Listener.Addr().String()) {
		t.Errorf("page: got %d %q, want 502 or 503 without an address", resp.StatusCode, body)
	}
}

// A drain closes the connections of one server only; new clients get other servers until the drain is over.
func TestBalanceDrain(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := run(t, parse(t, balancing([]*backend{a, b}, "policy: round_robin")))
	clients := map[string]*websocket.Conn{}
	for range 2 {
		c, text := r.greeting(t, "/", nil)
		clients[text[:1]] = c
	}
	if len(clients) != 2 {
		t.Fatalf("got %d servers for two clients, want 2", len(clients))
	}
	if status, body := r.callAdmin(t, "POST", "/balance/drain", url.Values{"server": {a.Listener.Addr().String()}, "pace": {"1000"}}); status != 200 || !strings.Contains(body, `"state": "draining"`) {
		t.Fatalf("drain: got %d %s, want 200 and draining", status, body)
	}
	if e := readCloseError(t, clients["a"]); e.Code != websocket.CodeServiceRestart || !strings.Contains(e.Reason, "retry-after=") {
		t.Errorf("got %v, want a close with 1012 and retry-after", e)
	}
	for range 3 {
		if _, text := r.greeting(t, "/", nil); text[:1] != "b" {
			t.Errorf("got server %q, want b", text)
		}
	}
	wantEcho(t, clients["b"])
	bounded.Until(t, func() bool { return a.open.Load() == 0 })
	if status, _ := r.callAdmin(t, "DELETE", "/balance/drain", url.Values{"server": {a.id()}}); status != 200 {
		t.Errorf("undrain: got %d, want 200", status)
	}
	bounded.Until(t, func() bool {
		_, text := r.greeting(t, "/", nil)
		return text[:1] == "a"
	})
	for _, bad := range []struct {
		form url.Values
		want int
	}{{url.Values{"server": {"127.0.0.1:1"}}, 404}, {url.Values{}, 400}, {url.Values{"server": {"http://a"}}, 400}, {url.Values{"server": {a.id()}, "pace": {"0"}}, 400}} {
		if status, body := r.callAdmin(t, "POST", "/balance/drain", bad.form); status != bad.want {
			t.Errorf("%v: got %d %s, want %d", bad.form, status, body, bad.want)
		}
	}
	waitForLog(t, &r.audited, `"server"`, a.id())
}

// Operators add and remove servers, and a reload changes settings, without affecting connections.
func TestBalanceChanges(t *testing.T) {
	a, b, c := newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c")
	text := balancing([]*backend{a}, "policy: least_connections")
	r := run(t, parse(t, text))
	first, _ := r.greeting(t, "/", nil)
	if status, body := r.callAdmin(t, "POST", "/balance/servers", url.Values{"server": {b.id()}, "weight": {"2"}}); status != 200 || !strings.Contains(body, b.id()) {
		t.Fatalf("add: got %d %s, want 200", status, body)
	}
	second, name := r.greeting(t, "/", nil)
	if name[:1] != "b" {
		t.Errorf("after adding b: got server %q, want b", name)
	}
	if err := r.Reload(t.Context(), r.with(t, balancing([]*backend{a, c}, "policy: round_robin"))); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for range 6 {
		_, name := r.greeting(t, "/", nil)
		names[name[:1]] = true
	}
	if len(names) != 3 {
		t.Errorf("after a reload: got servers %v, want 3", names)
	}
	if status, body := r.callAdmin(t, "DELETE", "/balance/servers", url.Values{"server": {a.id()}}); status != 400 || !strings.Contains(body, "configuration") {
		t.Errorf("remove a server of the configuration: got %d %s, want 400", status, body)
	}
	for _, method := range []string{"DELETE /balance/servers", "DELETE /balance/drain", "POST /balance/drain"} {
		method, path, _ := strings.Cut(method, " ")
		if status, body := r.callAdmin(t, method, path, url.Values{"server": {"127.0.0.1:1"}}); status != 404 || !strings.Contains(body, "ws://127.0.0.1:1;") {
			t.Errorf("%s of an unknown server: got %d %s, want 404", path, status, body)
		}
	}
	if status, _ := r.callAdmin(t, "DELETE", "/balance/servers", url.Values{"server": {b.id()}}); status != 200 {
		t.Errorf("remove: got %d, want 200", status)
	}
	for range 4 {
		if _, name := r.greeting(t, "/", nil); name[:1] == "b" {
			t.Error("a client got the removed server b")
		}
	}
	wantEcho(t, first)
	wantEcho(t, second)
}

// A client with the cookie returns to its server, unless that server is draining.
func TestBalanceSticky(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := run(t, parse(t, balancing([]*backend{a, b}, "sticky: {cookie: hf}\n\t      policy: round_robin")))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse(r.URLs()[0])
	dial := func() string {
		opts := &websocket.DialOptions{Header: http.Header{}}
		for _, c := range jar.Cookies(base) {
			opts.Header.Add("Cookie", c.String())
		}
		c, name := r.greeting(t, "/", opts)
		jar.SetCookies(base, (&http.Response{Header: c.Handshake().Header}).Cookies())
		return name[:1]
	}
	first := dial()
	for range 4 {
		if again := dial(); again != first {
			t.Errorf("got server %q, want %q", again, first)
		}
	}
	server := map[string]*backend{"a": a, "b": b}[first]
	r.callAdmin(t, "POST", "/balance/drain", url.Values{"server": {server.id()}})
	if other := dial(); other == first {
		t.Errorf("got server %q, which is draining", other)
	}
}

// The server file is read again when it changes.
func TestBalanceFile(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	file := t.TempDir() + "/servers"
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	put(a.id())
	r := run(t, parse(t, balancing(nil, "file: "+file)))
	if _, name := r.greeting(t, "/", nil); name[:1] != "a" {
		t.Errorf("got server %q, want a", name)
	}
	put(b.id() + "\n")
	bounded.Until(t, func() bool {
		_, name := r.greeting(t, "/", nil)
		return name[:1] == "b"
	})
	put("nonsense weight=x")
	waitForLog(t, &r.log, "servers cannot be found", "line 1")
	if _, name := r.greeting(t, "/", nil); name[:1] != "b" {
		t.Errorf("after an invalid file: got server %q, want b", name)
	}
}

// Health checks detect a server that is down or accepts no new clients, and its recovery.
func TestBalanceHealth(t *testing.T) {
	for _, check := range []string{"tcp", "http", "websocket"} {
		t.Run(check, func(t *testing.T) {
			a, b := newBackend(t, "a"), newBackend(t, "b")
			r := run(t, parse(t, strings.Replace(balancing([]*backend{a, b}, ""), "health: off", "health: {check: "+check+", every: 100ms, rise: 1, fall: 1}", 1)))
			state := func(of *backend, want balance.State) {
				t.Helper()
				bounded.Until(t, func() bool {
					for _, s := range r.site.Load().balancers("")[0].Status().Servers {
						if s.ID == of.id() {
							return s.State == want
						}
					}
					return false
				})
			}
			state(a, balance.Ready)
			if check == "http" {
				b.answer.Store(503)
				state(b, balance.Draining)
				b.answer.Store(0)
				state(b, balance.Ready)
			}
			if check != "tcp" {
				b.answer.Store(500)
				state(b, balance.Down)
				b.answer.Store(0)
				state(b, balance.Ready)
			}
			b.Close()
			state(b, balance.Down)
			for range 3 {
				if _, name := r.greeting(t, "/", nil); name[:1] != "a" {
					t.Errorf("got server %q, want a", name)
				}
			}
			waitForLog(t, &r.log, "a server's state changed", b.id(), "down")
		})
	}
}

// Clients wait for a free slot while every server is full.
func TestBalanceQueue(t *testing.T) {
	a := newBackend(t, "a")
	text := strings.Replace(balancing(nil, "queue: {max: 1, timeout: 5s}"), "to: []", "to: [{url: "+a.id()+", capacity: 1}]", 1)
	r := run(t, parse(t, text))
	first, _ := r.greeting(t, "/", nil)
	got := make(chan error, 1)
	go func() {
		c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/", nil)
		if err == nil {
			defer c.CloseNow()
		}
		got <- err
	}()
	bounded.Until(t, func() bool { return r.site.Load().balancers("")[0].Status().Waiting == 1 })
	if e := r.refuse(t, "/", nil); e.Status != 503 || e.Header.Get("Retry-After") == "" || !strings.Contains(string(e.Body), "full") {
		t.Errorf("handshake beyond the queue: got %d %q %v, want 503 with Retry-After", e.Status, e.Body, e.Header)
	}
	first.CloseNow()
	if err := bounded.Receive(t, got); err != nil {
		t.Errorf("waiting client: %v", err)
	}
}
