package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// newEntry is a connection of a user at an endpoint.
func newEntry(endpoint, addr, user string) *registry.Entry {
	return &registry.Entry{Endpoint: endpoint, Addr: netip.MustParseAddr(addr), Session: auth.Session{Identity: auth.Identity{Subject: user}}}
}

// checkAllFree reports an error unless every slot of every limit is free: with all limits at one, exactly one client is admitted.
func checkAllFree(t *testing.T, conns *registry.Registry) {
	t.Helper()
	first := newEntry("chat", "127.0.0.5", "alice")
	if err := conns.Enter(first, registry.Bounds{Total: 1, PerAddress: 1, Endpoint: 1, EndpointPerAddress: 1}); err != nil {
		t.Errorf("a place was not released: %v", err)
		return
	}
	defer conns.Leave(first)
	if err := conns.Identify(first, registry.Bounds{EndpointPerUser: 1}); err != nil {
		t.Errorf("the place of a user was not released: %v", err)
	}
	for _, b := range []registry.Bounds{{Total: 1}, {PerAddress: 1}, {Endpoint: 1}, {EndpointPerAddress: 1}} {
		second := newEntry("chat", "127.0.0.5", "alice")
		if err := conns.Enter(second, b); err == nil {
			conns.Leave(second)
			t.Errorf("a place was released twice: %+v", b)
		}
	}
}

// A rejected client occupies no slot when its response is sent, whatever the reason or the limit.
func TestRefusalsReleaseEveryPlace(t *testing.T) {
	var r *running
	target := &fakeTarget{open: func(ctx context.Context, q *Request) (*Opened, error) {
		switch q.URL.Query().Get("case") {
		case "refuses":
			return nil, &websocket.Reject{Status: 409}
		case "panics":
			panic("Open is broken")
		case "nothing":
			return nil, nil
		case "revoked":
			other := &auth.Session{Identity: auth.Identity{Subject: "alice", Method: "jwt"}}
			if err := r.live.Admit(other); err != nil {
				return nil, err
			}
			defer other.End()
			if err := r.store.Revoke(ctx, auth.Revocation{Subject: "alice", At: time.Now().Add(time.Second)}); err != nil {
				return nil, err
			}
			bounded.Until(t, func() bool { _, _, told := other.Told(); return told })
		case "replaced":
			if err := r.Reload(ctx, r.with(t, "endpoints: [{name: open, path: /open, target: echo, auth: [anonymous]}]")); err != nil {
				return nil, err
			}
		}
		return echo{}.Open(ctx, q)
	}}
	r = runTargets(t, parse(t, `
auth: {users: {jwt: {secret: "%s"}}}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [users], rules: [{when: 'user != "bob"', do: allow}]}
`, key), sameTarget(target))
	e := r.site.Load().endpoints[0]
	roomy := registry.Bounds{Total: 9, PerAddress: 9, Endpoint: 9, EndpointPerAddress: 9, EndpointPerUser: 9}
	with := func(change func(*registry.Bounds)) registry.Bounds {
		b := roomy
		change(&b)
		return b
	}
	for _, tt := range []struct {
		name, user string
		bounds     registry.Bounds
		there      *registry.Entry // a client that connects during the case; nil means none
		status     int             // the status of the rejection
		users      int             // the number of the target's users after the case
	}{
		{"total", "alice", with(func(b *registry.Bounds) { b.Total = 1 }), newEntry("other", "127.0.0.6", ""), 503, 1},
		{"endpoint", "alice", with(func(b *registry.Bounds) { b.Endpoint = 1 }), newEntry("chat", "127.0.0.6", ""), 503, 1},
		{"address", "alice", with(func(b *registry.Bounds) { b.PerAddress = 1 }), newEntry("other", "127.0.0.5", ""), 429, 1},
		{"address at the endpoint", "alice", with(func(b *registry.Bounds) { b.EndpointPerAddress = 1 }), newEntry("chat", "127.0.0.5", ""), 429, 1},
		{"user", "alice", with(func(b *registry.Bounds) { b.EndpointPerUser = 1 }), newEntry("chat", "127.0.0.6", "alice"), 429, 1},
		{"no credential", "", roomy, nil, 401, 1},
		{"rule", "bob", roomy, nil, 403, 1},
		{"refuses", "alice", roomy, nil, 409, 1},
		{"panics", "alice", roomy, nil, 500, 1},
		{"nothing", "alice", roomy, nil, 503, 1},
		{"revoked", "alice", roomy, nil, 401, 1},
		{"replaced", "carol", roomy, nil, 503, 0},
		{"target is closed", "carol", roomy, nil, 503, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e.bounds, e.countsLoopback = tt.bounds, true
			if tt.there != nil {
				if err := errors.Join(r.conns.Enter(tt.there, roomy), r.conns.Identify(tt.there, roomy)); err != nil {
					t.Fatal(err)
				}
			}
			var again []func()
			for range 2 { // if the first attempt leaves a slot occupied, the second may be rejected
				req := httptest.NewRequestWithContext(bounded.Context(t), http.MethodGet, "/chat", nil)
				req.URL.RawQuery = "case=" + tt.name
				if tt.name == "target is closed" {
					req.URL.RawQuery = ""
				}
				if tt.user != "" {
					req.Header = withToken(token(tt.user, time.Hour, nil)).Header
				}
				h := &handshake{
					e: e, via: &via{client: netip.MustParseAddr("127.0.0.5"), site: r.site.Load()}, header: req.Header,
					entry: newEntry("chat", "127.0.0.5", ""),
				}
				err := h.admit(req)
				again = append(again, h.release) // in production the endpoint's Refused calls release, after the response
				if got := statusOf(err); got != tt.status {
					t.Errorf("%d: %v", got, err)
				}
				if tt.name == "revoked" || tt.name == "replaced" {
					break // a second attempt would be admitted
				}
			}
			if tt.there != nil {
				r.conns.Leave(tt.there)
			}
			checkAllFree(t, r.conns)
			for _, drop := range again {
				drop()
			}
			checkAllFree(t, r.conns)
			e.target.mu.Lock()
			defer e.target.mu.Unlock()
			if e.target.users != tt.users {
				t.Errorf("the target has %d users, want %d", e.target.users, tt.users)
			}
		})
	}
}

// statusOf returns the status in an error of admit, or 0 if there is none.
func statusOf(err error) int {
	if reject, ok := errors.AsType[*websocket.Reject](err); ok {
		return reject.Status
	}
	return 0
}
