package gateway

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// Closing a server on which Serve was never called releases its addresses and all other resources, once; Serve then returns.
func TestCloseWithoutServe(t *testing.T) {
	s, err := Open(t.Context(), Options{Config: parse(t, users, key)})
	if err != nil {
		t.Fatal(err)
	}
	var watched []*closeCounter
	for _, m := range s.site.Load().methods.byKey {
		c := &closeCounter{Authenticator: m.auth}
		watched, m.auth = append(watched, c), c
	}
	addresses := append(s.URLs(), s.AdminURL())
	for range 2 {
		s.Close()
	}
	for _, c := range watched {
		if c.closed != 1 {
			t.Errorf("a method was closed %d times", c.closed)
		}
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Errorf("the address is still bound: %v", err)
			continue
		}
		l.Close()
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	if err := bounded.Receive(t, served); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if s.ready.Load() {
		t.Error("the server is ready")
	}
	for _, c := range watched {
		if c.closed != 1 {
			t.Errorf("a method was closed %d times", c.closed)
		}
	}
}

// The configured store is used; the error for an invalid URL does not contain the password.
func TestStoreOpen(t *testing.T) {
	var s store
	if err := s.open(config.Store{}, nil); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Store.(*auth.MemoryStore); !ok {
		t.Errorf("without settings: %T", s.Store)
	}
	s.close()
	password := secret("the-password-of-a-redis")
	cfg := parse(t, users, key)
	cfg.Store = config.Store{Redis: &config.RedisStore{URL: config.NewSecret("http://:" + password + "@127.0.0.1/0")}}
	if _, err := Open(t.Context(), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "not a valid redis://") ||
		strings.Contains(err.Error(), password) {
		t.Errorf("no Redis: %v", err)
	}
}

// A listener without TLS answers ACME challenges, and redirects all other requests.
func TestACMEChallengesOnRedirect(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	r := run(t, parse(t, `
listen:
	- {address: "127.0.0.1:0", tls: {acme: {hosts: [ws.example.com], directory: "https://127.0.0.1:1/directory", accept_terms: true}}}
	- {address: "127.0.0.1:0", hosts: any, tls: off, redirect_https: true}
endpoints: [{path: /open, target: echo, auth: [anonymous]}]
`))
	for path, want := range map[string]int{"/.well-known/acme-challenge/x": 404, "/": 301} {
		if resp, _ := requestPage(t, "GET", r.entrance.bound[1].url+path, http.Header{"Host": {"ws.example.com"}}); resp.StatusCode != want {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// Every setting of ACME is passed to package certs.
func TestACMEOptions(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	cfg := config.ACME{
		Hosts: []string{"ws.example.com"}, Email: "ops@example.com", Directory: "https://ca.example/directory", CARoot: "/root.pem",
		Cache: "/cache", AcceptTerms: true, EABKeyID: "id", EABKey: config.NewSecret("a2V5"),
	}
	made := func() (*certs.ACME, error) {
		cache, err := acmeCache(cfg)
		return acmeOptions(cfg, cache), err
	}
	got, err := made()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Hosts) != 1 || got.Hosts[0] != "ws.example.com" || got.Email != "ops@example.com" || got.Directory != "https://ca.example/directory" ||
		got.RootFile != "/root.pem" || got.Cache != "/cache" || !got.AgreeTerms || got.EAB == nil || got.EAB.KeyID != "id" || got.EAB.Key != "a2V5" {
		t.Errorf("%+v, %+v", got, got.EAB)
	}
	cfg.Cache, cfg.EABKeyID, cfg.AcceptTerms = "", "", false
	if got, err = made(); err != nil {
		t.Fatal(err)
	}
	if got.EAB != nil || got.AgreeTerms || filepath.Base(got.Cache) != "acme" || !filepath.IsAbs(got.Cache) {
		t.Errorf("%+v", got)
	}
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "")
	t.Setenv("LocalAppData", "")
	if got, err = made(); err == nil {
		t.Errorf("without a directory for the cache: %+v", got)
	}
}
