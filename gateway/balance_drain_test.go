package gateway

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// When all servers are draining, each client is closed once, and new handshakes get 503: no client is moved from one draining
// server to another.
func TestBalanceDrainOfAll(t *testing.T) {
	servers := []*backend{newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c")}
	for _, policy := range []string{"policy: power_of_two", "policy: hash", "sticky: {cookie: hf}"} {
		r := run(t, parse(t, balancing(servers, policy+"\n\t      drain: 10000")))
		var clients []*websocket.Conn
		opts := &websocket.DialOptions{Header: http.Header{}}
		for range 9 {
			c, _ := r.greeting(t, "/", nil)
			clients = append(clients, c)
			for _, cookie := range (&http.Response{Header: c.Handshake().Header}).Cookies() {
				if cookie.Name == "hf" {
					opts.Header.Set("Cookie", cookie.String())
				}
			}
		}
		for _, s := range servers {
			if status, body := r.callAdmin(t, "POST", "/balance/drain", url.Values{"server": {s.id()}}); status != http.StatusOK {
				t.Fatalf("drain: got %d %s, want 200", status, body)
			}
		}
		for _, c := range clients {
			if e := readCloseError(t, c); e.Code != websocket.CodeServiceRestart || !e.ByPeer {
				t.Errorf("%s: got %v, want a close with 1012", policy, e)
			}
			e := r.refuse(t, "/", opts)
			if e.Status != http.StatusServiceUnavailable || e.Header.Get("Retry-After") == "" {
				t.Errorf("%s: new handshake: got %d %v, want 503 with Retry-After", policy, e.Status, e.Header)
			}
		}
		bounded.Until(t, func() bool { return servers[0].open.Load()+servers[1].open.Load()+servers[2].open.Load() == 0 })
		var opened uint64
		for _, s := range r.site.Load().balancers("")[0].Status().Servers {
			opened += s.Opened
		}
		if opened != uint64(len(clients)) {
			t.Errorf("%s: got %d connections opened, want %d", policy, opened, len(clients))
		}
		if status, _ := r.callAdmin(t, "DELETE", "/balance/drain", url.Values{"server": {servers[1].id()}}); status != http.StatusOK {
			t.Errorf("undrain: got %d, want 200", status)
		}
		if c, name := r.greeting(t, "/", opts); name[:1] != "b" {
			t.Errorf("%s: got server %q, want b", policy, name)
		} else {
			c.CloseNow()
		}
	}
}
