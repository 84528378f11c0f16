package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// holdClient opens a held connection, and removes its server, which rejects new connections from then on. It returns the
// connection, and the current pool.
func holdClient(t *testing.T, r *running, server *backend) (*websocket.Conn, *balanceTarget) {
	t.Helper()
	c, _ := r.greeting(t, "/", nil)
	pool := r.site.Load().balancers("")[0]
	server.answer.Store(http.StatusServiceUnavailable)
	failed := pool.Status().Servers[0].Failed
	server.cut()
	bounded.Until(t, func() bool { return pool.Status().Servers[0].Failed > failed })
	return c, pool
}

// empty waits until a pool has no clients, and everything that was started for them has stopped.
func (t *balanceTarget) empty(test *testing.T, ids ...string) {
	test.Helper()
	bounded.Until(test, func() bool {
		s := t.Status()
		var list []string
		for _, u := range s.Servers {
			if list = append(list, u.ID); u.Live != 0 {
				return false
			}
		}
		return strings.Join(list, " ") == strings.Join(ids, " ") && s.Waiting == 0 && s.Storm.Underway == 0
	})
}

// A held client without a server continues on a server that a reload adds, and nothing remains of the removed server.
func TestReloadDuringHold(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	const hold = "hold: {mode: stateless, wait: 1m}"
	r := run(t, parse(t, balancing([]*backend{a}, hold)))
	c, pool := holdClient(t, r, a)
	if err := r.Reload(t.Context(), r.with(t, balancing([]*backend{b}, hold))); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data[:1]) != "b" {
		t.Fatalf("got %q, %v, want the greeting of b", m.Data, err)
	}
	wantEcho(t, c)
	if now := r.site.Load().balancers("")[0]; now != pool {
		t.Error("the reload created another pool")
	}
	if err := c.Close(websocket.CodeNormal, ""); err != nil {
		t.Error(err)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	pool.empty(t, b.id())
}

// A client whose server an operator has removed is held, continues on another server, and nothing remains of the removed server.
func TestServerRemovedDuringHold(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := run(t, parse(t, balancing([]*backend{a}, "hold: {mode: stateless, wait: 1m}")))
	change := func(method string, server *backend) {
		t.Helper()
		if status, body := r.callAdmin(t, method, "/balance/servers", url.Values{"server": {server.id()}}); status != http.StatusOK {
			t.Fatalf("%s: got %d %s, want 200", method, status, body)
		}
	}
	change(http.MethodPost, b)
	a.answer.Store(http.StatusServiceUnavailable)
	c, text := r.greeting(t, "/", nil)
	if text[:1] != "b" {
		t.Fatalf("got server %s, want b", text)
	}
	change(http.MethodDelete, b)
	b.cut()
	pool := r.site.Load().balancers("")[0]
	a.answer.Store(0)
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data[:1]) != "a" {
		t.Fatalf("got %q, %v, want the greeting of a", m.Data, err)
	}
	wantEcho(t, c)
	c.CloseNow()
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	pool.empty(t, a.id())
}

// If a reload removes the pool of a held client without a server, the client is closed with 1012, and nothing remains.
func TestPoolRemovedDuringHold(t *testing.T) {
	a := newBackend(t, "a")
	r := run(t, parse(t, "drain: {code: 1012}\n"+balancing([]*backend{a}, "hold: {mode: stateless, wait: 5m}")))
	c, pool := holdClient(t, r, a)
	if err := r.Reload(t.Context(), r.with(t, "drain: {code: 1012}\nadmin: {address: 127.0.0.1:0}\nendpoints: [{name: other, path: /, target: echo, auth: [anonymous]}]")); err != nil {
		t.Fatal(err)
	}
	if e := readCloseError(t, c); e.Code != websocket.CodeServiceRestart || e.Reason != reasonRemoved || e.Err != nil {
		t.Errorf("got %v, want a close with 1012 and %q", e, reasonRemoved)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	if list := r.site.Load().balancers(""); len(list) != 0 {
		t.Errorf("got %d pools, want 0", len(list))
	}
	pool.empty(t, a.id())
}
