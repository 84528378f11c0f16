package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// sameTarget returns targets with the same target for every endpoint.
func sameTarget(t Target) map[string]newTarget {
	return map[string]newTarget{"echo": func(*config.Config, int) (Target, error) { return t, nil }}
}

// fakeTarget is a target with configurable functions. If open is nil, it echoes.
type fakeTarget struct {
	open     func(context.Context, *Request) (*Opened, error)
	register func(*http.ServeMux)
	closed   atomic.Int32
	panics   bool // Close panics
}

func (d *fakeTarget) Open(ctx context.Context, r *Request) (*Opened, error) {
	if d.open == nil {
		return echo{}.Open(ctx, r)
	}
	return d.open(ctx, r)
}

func (d *fakeTarget) Close() error {
	d.closed.Add(1)
	if d.panics {
		panic("Close is broken")
	}
	return errors.New("it closes badly")
}

func (d *fakeTarget) Register(mux *http.ServeMux) {
	if d.register != nil {
		d.register(mux)
	}
}

// metric waits until the metrics contain a line.
func (r *running) metric(t *testing.T, line string) {
	t.Helper()
	bounded.Until(t, func() bool {
		w := httptest.NewRecorder()
		r.rec.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return strings.Contains(w.Body.String(), line+"\n")
	})
}

// dialWhenFree connects as soon as a slot is free.
func (r *running) dialWhenFree(t *testing.T, path string) *websocket.Conn {
	t.Helper()
	var c *websocket.Conn
	bounded.Until(t, func() bool {
		var err error
		c, err = websocket.Dial(bounded.Context(t), r.URLs()[0]+path, nil)
		return err == nil
	})
	t.Cleanup(func() { c.CloseNow() })
	return c
}

const oneEndpoint = "endpoints: [{name: open, path: /open, target: echo, auth: [anonymous], limits: {connections: 2}}]"

// A panic in a target affects one client, which is closed with 1011; the panic is logged and counted.
func TestPanicInTarget(t *testing.T) {
	serve := func(ctx context.Context, c *websocket.Conn) error {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if string(m.Data) == "panic" {
			panic("the target is broken")
		}
		return c.Write(ctx, m)
	}
	r := runTargets(t, parse(t, oneEndpoint), sameTarget(&fakeTarget{open: func(context.Context, *Request) (*Opened, error) {
		return &Opened{Serve: serve}, nil
	}}))
	other := r.open(t, "/open", nil)
	for range 3 { // more than there are slots, so each must be released
		c := r.dialWhenFree(t, "/open")
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("panic")}); err != nil {
			t.Fatal(err)
		}
		if e := readCloseError(t, c); e.Code != websocket.CodeInternalError || e.Reason != "" {
			t.Errorf("closed with %v", e)
		}
	}
	wantEcho(t, other)
	waitForLog(t, &r.log, "level=ERROR", `msg="a target panicked"`, `panic="the target is broken"`, "endpoint=open", "target_test.go")
	waitForLog(t, &r.log, "msg=closed", "code=1011")
	r.metric(t, `handfast_target_panics_total{endpoint="open"} 3`)
	if e := readCloseError(t, other); e.Code != websocket.CodeNormal { // Serve returned without an error
		t.Errorf("closed with %v", e)
	}
}

// A rejection by a target determines the response, and every rejection releases the slot and abandons the opened client.
func TestTargetRefuses(t *testing.T) {
	var abandoned atomic.Int32
	opened := func(o Opened) (*Opened, error) {
		o.Abandon = func() { abandoned.Add(1) }
		return &o, nil
	}
	serve := func(context.Context, *websocket.Conn) error { return nil }
	answers := map[string]func() (*Opened, error){
		"panic":   func() (*Opened, error) { panic("Open is broken") },
		"error":   func() (*Opened, error) { return nil, errors.New("the upstream is down") },
		"reject":  func() (*Opened, error) { return nil, &websocket.Reject{Status: 409, Reason: "not now"} },
		"denied":  func() (*Opened, error) { return nil, auth.Forbidden(errors.New("not you")) },
		"nothing": func() (*Opened, error) { return nil, nil },
		"no way":  func() (*Opened, error) { return opened(Opened{}) },
		"two ways": func() (*Opened, error) {
			return opened(Opened{Serve: serve, Open: func(websocket.Sender) websocket.Receiver { return nil }})
		},
		"subprotocol": func() (*Opened, error) { return opened(Opened{Serve: serve, Subprotocol: "not.offered"}) },
		"extensions":  func() (*Opened, error) { return opened(Opened{Serve: serve, Extensions: "permessage-deflate"}) },
		"header":      func() (*Opened, error) { return opened(Opened{Serve: serve, Header: http.Header{"Upgrade": {"h2c"}}}) },
	}
	target := &fakeTarget{open: func(_ context.Context, r *Request) (*Opened, error) {
		return answers[r.URL.Query().Get("case")]()
	}}
	r := runTargets(t, parse(t, oneEndpoint), sameTarget(target))
	for name, want := range map[string]struct {
		status int
		body   string // a part of the reply
		log    string // a part of the line in the log
	}{
		"panic":       {500, "500 Internal", "panicked"},
		"error":       {503, "503 Service", "the upstream is down"},
		"reject":      {409, "not now", "not now"},
		"denied":      {403, "", "not you"},
		"nothing":     {503, "503 Service", "neither accepted nor rejected"},
		"no way":      {500, "500 Internal", "exactly one"},
		"two ways":    {500, "500 Internal", "exactly one"},
		"subprotocol": {500, "500 Internal", "did not offer"},
		"extensions":  {500, "500 Internal", "Extensions"},
		"header":      {500, "500 Internal", "Upgrade"},
	} {
		e := r.refuse(t, "/open?case="+url.QueryEscape(name), nil)
		if e.Status != want.status || !strings.Contains(string(e.Body), want.body) || name == "error" && e.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %q", name, e.Status, e.Body)
		}
		got := r.rec.refused.List()[0]
		if got.Status != want.status || !strings.Contains(got.Reason, want.log) {
			t.Errorf("%s: remembered %d %s", name, got.Status, got.Reason)
		}
	}
	if n := abandoned.Load(); n != 5 {
		t.Errorf("%d opened clients were abandoned", n)
	}
	r.metric(t, `handfast_target_panics_total{endpoint="open"} 1`)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if n := target.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}

// A target gets the identity and the address of the client, and the decisions of the rules.
func TestTargetRequest(t *testing.T) {
	type seen struct {
		user, role, room, client, header string
		news, secret                     error
	}
	got := make(chan seen, 1)
	r := runTargets(t, parse(t, `
auth: {users: {jwt: {secret: "%s"}}}
trusted_proxies: [127.0.0.9]
endpoints:
	- name: chat
		path: /chat/{room}
		target: echo
		auth: [users]
		rules:
			- {when: 'user == "alice"', do: allow, actions: [connect]}
			- {when: 'user == "alice"', do: allow, actions: [subscribe], channels: ["news-*"]}
`, key), sameTarget(&fakeTarget{open: func(ctx context.Context, r *Request) (*Opened, error) {
		role, _ := r.Identity.Claims["role"].(string)
		got <- seen{r.Identity.Subject, role, r.PathValue("room"), r.Client.String(), r.Header.Get("X-Extra"),
			r.Allow("subscribe", "news-1"), r.Allow("subscribe", "secret")}
		return echo{}.Open(ctx, r)
	}}))
	opts := withLocalAddr("127.0.0.9", withToken(token("alice", time.Hour, map[string]any{"role": "editor"})))
	opts.Header.Set("X-Extra", "yes")
	opts.Header.Set("X-Forwarded-For", "192.0.2.7")
	wantEcho(t, r.open(t, "/chat/42", opts))
	s := bounded.Receive(t, got)
	var denied *auth.Denied
	if s.user != "alice" || s.role != "editor" || s.room != "42" || s.client != "192.0.2.7" || s.header != "yes" ||
		s.news != nil || !errors.As(s.secret, &denied) {
		t.Errorf("%+v", s)
	}
}

// upstream is a target that connects clients to another server.
type upstream struct{ url string }

func (u *upstream) Close() error { return nil }

func (u *upstream) Open(ctx context.Context, r *Request) (*Opened, error) {
	var offered []string
	for _, p := range strings.Split(r.Header.Get("Sec-WebSocket-Protocol"), ",") {
		if p = strings.TrimSpace(p); p != "" {
			offered = append(offered, p)
		}
	}
	header := http.Header{"X-User": {r.Identity.Subject}, "Cookie": r.Header["Cookie"]}
	up, err := websocket.Dial(ctx, u.url+r.URL.Path, &websocket.DialOptions{Header: header, Subprotocols: offered})
	if e, ok := errors.AsType[*websocket.HandshakeError](err); ok && e.Status != 0 {
		return nil, &websocket.Reject{
			Status: e.Status, Reason: string(e.Body), Header: http.Header{"Content-Type": e.Header["Content-Type"]},
		}
	}
	if err != nil {
		return nil, err
	}
	received, sent := r.Received, r.Sent
	return &Opened{
		Subprotocol: up.Handshake().Subprotocol,
		Header:      http.Header{"Set-Cookie": up.Handshake().Header["Set-Cookie"]},
		Abandon:     func() { up.CloseNow() },
		Serve: func(ctx context.Context, c *websocket.Conn) error {
			defer up.CloseNow()
			var back sync.WaitGroup
			back.Go(func() { pass(ctx, up, c, sent) })
			pass(ctx, c, up, func(n int64) { _ = received(n) })
			back.Wait()
			return nil
		},
	}, nil
}

// pass forwards messages until one side closes, and closes the other side in the same way.
func pass(ctx context.Context, from, to *websocket.Conn, count func(int64)) {
	for {
		m, err := from.Read(ctx)
		if err == nil {
			err = to.Write(ctx, m)
			count(int64(len(m.Data)))
		}
		if err != nil {
			_ = to.Close(websocket.CloseCode(err), "")
			return
		}
	}
}

// A target that dials an upstream server before the 101 passes on its 403, its subprotocol and its cookies.
func TestTargetWithUpstream(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-User") != "alice" {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<p>Alice only.")
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "backend", Value: "b7"})
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: r.PathValue("room")})
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v2", "v1"}, AnyOrigin: true})
		if err != nil {
			return
		}
		for m, err := range c.Messages(r.Context()) {
			if err != nil || c.Write(r.Context(), m) != nil {
				return
			}
		}
	}))
	defer backend.Close()
	r := runTargets(t, parse(t, users, key), sameTarget(&upstream{backend.URL}))
	opts := withToken(token("alice", time.Hour, nil))
	opts.Subprotocols = []string{"v1", "v2"}
	c := r.open(t, "/chat", opts)
	wantEcho(t, c)
	cookies := c.Handshake().Header["Set-Cookie"]
	if c.Handshake().Subprotocol != "v2" || len(cookies) != 2 || !strings.HasPrefix(cookies[0], "backend=b7") {
		t.Errorf("%q, cookies %q", c.Handshake().Subprotocol, cookies)
	}
	e := r.refuse(t, "/chat", withToken(token("bob", time.Hour, nil)))
	if e.Status != 403 || string(e.Body) != "<p>Alice only." || e.Header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %q %q", e.Status, e.Body, e.Header)
	}
	if err := c.Close(4242, ""); err != nil {
		t.Error(err)
	}
	waitForLog(t, &r.audited, `"disconnected"`, `"user":"alice"`, `"code":4242`, `"messages_in":1`, `"bytes_out":5`)
	backend.CloseClientConnections()
	backend.Close()
	if e := r.refuse(t, "/chat", withToken(token("alice", time.Hour, nil))); e.Status != 503 {
		t.Errorf("without an upstream: %d", e.Status)
	}
}
