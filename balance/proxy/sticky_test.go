package proxy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
)

// A cookie leads to the server for which it was made, only with the same secret, and reveals nothing about it.
func TestSticky(t *testing.T) {
	s, same, other := NewSticky("hf", []byte("k1")), NewSticky("hf", []byte("k1")), NewSticky("hf", []byte("k2"))
	const id = "ws://10.0.0.1:9000"
	c := s.Cookie(id, false)
	r, _ := http.NewRequest(http.MethodGet, "http://a/", nil)
	if s.Shown(r) != "" || s.Is("", id) {
		t.Error("a request without a cookie has a value or matches a server")
	}
	r.AddCookie(c)
	v := s.Shown(r)
	if !s.Is(v, id) || !same.Is(v, id) || other.Is(v, id) || s.Is(v, "ws://10.0.0.2:9000") || strings.Contains(v, "10") && strings.Contains(v, "9000") {
		t.Errorf("value %q: got the wrong servers or the server's address in it", v)
	}
	if !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
		t.Errorf("got cookie %v, want HttpOnly, not Secure, Lax, for /", c)
	}
	if c := s.Cookie(id, true); !c.Secure || c.SameSite != http.SameSiteNoneMode {
		t.Errorf("over TLS: got cookie %v, want Secure, SameSite=None", c)
	}
}

// A cookie leads to its server even after an update, and at every balancer with the same secret.
func TestCookieIsStable(t *testing.T) {
	c := NewSticky("home", []byte("secret")).Cookie("ws://10.0.0.1:9000", false)
	if c.Name != "home" || c.Value != "9s8bWiFJxmiS20rLItQnA4PH" {
		t.Errorf("got %s=%s, want the value of earlier versions", c.Name, c.Value)
	}
}

// A cookie that was forged, truncated, or made by a balancer with another secret is ignored, and so is one for a server that has
// been removed. The client gets a valid cookie in its place.
func TestForgedCookies(t *testing.T) {
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	const gone = "ws://10.0.0.9:9000"
	sticky := NewSticky("hf", []byte("k1"))
	of := func(id string) string { return sticky.Cookie(id, false).Value }
	for name, forge := range map[string]func(id string) string{
		"nothing":                   func(string) string { return "" },
		"another signature":         func(id string) string { return "AAAA" + of(id)[4:] },
		"cut":                       func(id string) string { return of(id)[:10] },
		"longer":                    func(id string) string { return of(id) + "A" },
		"of another balancer":       func(id string) string { return NewSticky("hf", []byte("k2")).Cookie(id, false).Value },
		"of a server that has gone": func(string) string { return of(gone) },
		"the server's name":         func(id string) string { return id },
		"an index":                  func(string) string { return "0" },
	} {
		t.Run(name, func(t *testing.T) {
			a := serveRaw(t, listen(t), accepts)
			id := "ws://" + a.addr
			value := forge(id)
			b := newBalancer(t, Settings{Sticky: sticky}, a.addr)
			if err := b.SetServers("gone", []balance.Spec{{ID: gone}}); err != nil {
				t.Fatal(err)
			}
			if err := b.SetServers("gone", nil); err != nil {
				t.Fatal(err)
			}
			r := opening(t)
			r.Header.Set("Cookie", "hf="+value)
			if got := b.preferred(b.Settings(), r); got != "" {
				t.Errorf("got server %s, want none", got)
			}
			c, err := b.Open(bounded.Context(t), r)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Abandon()
			replaced(t, c.Header(), sticky, id)

			// The forged cookie is also replaced in the response to a page request.
			if err := b.SetServers("test", specs(page.Listener.Addr().String())); err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			p := httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)
			p.Header.Set("Cookie", "hf="+value)
			b.ServeRequest(w, &Request{Request: p})
			if w.Code != http.StatusNotFound {
				t.Errorf("page: got %d, want 404", w.Code)
			}
			replaced(t, w.Header(), sticky, "ws://"+page.Listener.Addr().String())
		})
	}
}

// replaced checks that a response contains a cookie for a server, which reveals nothing about the server.
func replaced(t *testing.T, h http.Header, sticky *Sticky, id string) {
	t.Helper()
	set := h["Set-Cookie"]
	if len(set) != 1 || !strings.HasPrefix(set[0], "hf="+sticky.Cookie(id, false).Value+";") {
		t.Errorf("got Set-Cookie %q, want the cookie of %s", set, id)
	}
	host := strings.TrimPrefix(id, "ws://")
	for name, values := range h {
		if strings.Contains(strings.Join(values, " "), host) {
			t.Errorf("%s: %q contains the server's address", name, values)
		}
	}
}

// A client that returns with its cookie gets no second cookie.
func TestValidCookie(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	sticky := NewSticky("hf", []byte("k1"))
	b := newBalancer(t, Settings{Sticky: sticky, Pool: balance.Options{Policy: balance.LeastConnections()}}, up.addr, "127.0.0.1:1")
	for range 3 { // the policy would choose the other server
		if _, ok := b.pool.AcquireAt(time.Now(), "ws://"+up.addr); !ok {
			t.Fatal("the server is not ready")
		}
	}
	r := opening(t)
	r.AddCookie(sticky.Cookie("ws://"+up.addr, false))
	c, err := b.Open(bounded.Context(t), r)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abandon()
	if c.Server() != "ws://"+up.addr || c.Header()["Set-Cookie"] != nil {
		t.Errorf("got %s and header %v, want ws://%s and no cookie", c.Server(), c.Header(), up.addr)
	}
}

// A cookie for a server that accepts no clients is replaced: a handshake or a page request then gets another server, and the cookie
// for that server. From then on the client stays there, even if the first server accepts clients again.
func TestCookieOfUnavailableServer(t *testing.T) {
	for name, tt := range map[string]struct {
		leave, back func(b *Balancer, id string, all []balance.Spec) error
	}{
		"drained": {
			func(b *Balancer, id string, _ []balance.Spec) error { return b.Drain(id, 0) },
			func(b *Balancer, id string, _ []balance.Spec) error { return b.Undrain(id) },
		},
		"drained by itself": {
			func(b *Balancer, id string, _ []balance.Spec) error {
				b.setAnnouncedDrain(time.Now(), id, true, time.Time{})
				return nil
			},
			func(b *Balancer, id string, _ []balance.Spec) error {
				b.setAnnouncedDrain(time.Now(), id, false, time.Time{})
				return nil
			},
		},
		"down": {
			func(b *Balancer, id string, _ []balance.Spec) error { return checked(b, id, errors.New("it is down")) },
			func(b *Balancer, id string, _ []balance.Spec) error { return checked(b, id, nil) },
		},
		"removed": {
			func(b *Balancer, _ string, all []balance.Spec) error { return b.SetServers("test", all[1:]) },
			func(b *Balancer, _ string, all []balance.Spec) error { return b.SetServers("test", all) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			addrs := []string{serveMessages(t, nil).addr(), serveMessages(t, nil).addr()}
			all, sticky := specs(addrs...), NewSticky("hf", []byte("k1"))
			b := newBalancer(t, Settings{Sticky: sticky}, addrs...)
			come := func(cookie *http.Cookie) (server string, h http.Header) {
				t.Helper()
				r := opening(t)
				r.AddCookie(cookie)
				c, err := b.Open(bounded.Context(t), r)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Abandon()
				return c.Server(), c.Header()
			}
			of := func(id string) *http.Cookie { return sticky.Cookie(id, false) }
			if server, h := come(of(all[0].ID)); server != all[0].ID || h["Set-Cookie"] != nil {
				t.Fatalf("before: got %s, %q, want %s and no cookie", server, h["Set-Cookie"], all[0].ID)
			}
			if err := tt.leave(b, all[0].ID, all); err != nil {
				t.Fatal(err)
			}
			for range 10 { // the policy could place any of these clients on the first server
				server, h := come(of(all[0].ID))
				if server != all[1].ID {
					t.Fatalf("got %s, want %s", server, all[1].ID)
				}
				replaced(t, h, sticky, all[1].ID)
			}
			if server, h := come(of(all[1].ID)); server != all[1].ID || h["Set-Cookie"] != nil {
				t.Errorf("with the new cookie: got %s, %q, want %s and no cookie", server, h["Set-Cookie"], all[1].ID)
			}
			if err := tt.back(b, all[0].ID, all); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if server, h := come(of(all[1].ID)); server != all[1].ID || h["Set-Cookie"] != nil {
					t.Fatalf("when the first server is back: got %s, %q, want %s and no cookie", server, h["Set-Cookie"], all[1].ID)
				}
			}
			if server, h := come(of(all[0].ID)); server != all[0].ID || h["Set-Cookie"] != nil {
				t.Errorf("with the first cookie: got %s, %q, want %s and no cookie", server, h["Set-Cookie"], all[0].ID)
			}

			// The cookie is also replaced in the response to a page request.
			if err := tt.leave(b, all[0].ID, all); err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/", nil)
			r.AddCookie(of(all[0].ID))
			b.ServeRequest(w, &Request{Request: r})
			replaced(t, w.Header(), sticky, all[1].ID)
		})
	}
}

// checked reports the results of some checks of a server to a Balancer.
func checked(b *Balancer, id string, err error) error {
	for range 10 {
		b.probed(time.Now(), id, Health{Check: CheckTCP}, false, err)
	}
	return nil
}
