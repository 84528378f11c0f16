//go:build e2e

package redisstore

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/redistest"
)

// A user gets a ticket from one node and presents it to all nodes: only one of them admits the user. In the meantime, the data in
// Redis is of no use to anyone who can read it.
func TestTicketsAcrossNodes(t *testing.T) {
	redis := startRedis(t, false)
	key, entry, err := auth.NewAPIKey("ann")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auth.NewAPIKeys(auth.APIKeyOptions{Keys: []auth.APIKey{entry}})
	if err != nil {
		t.Fatal(err)
	}
	var gates []auth.Authenticator
	var endpoints []*httptest.Server
	for range 3 {
		tickets, err := auth.NewTickets(auth.TicketOptions{Store: node(t, redis.URL(), Options{})})
		if err != nil {
			t.Fatal(err)
		}
		gates = append(gates, tickets.For("echo"))
		s := httptest.NewServer(&auth.TicketEndpoint{Tickets: tickets, Authenticator: keys})
		defer s.Close()
		endpoints = append(endpoints, s)
	}
	ctx := bounded.Context(t)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoints[0].URL, strings.NewReader(`{"origin":"https://app.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := endpoints[0].Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var reply struct {
		Ticket string `json:"ticket"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil || reply.Ticket == "" {
		t.Fatalf("%s: %+v, %v", resp.Status, reply, err)
	}

	for name, value := range dump(t, redis) {
		if strings.Contains(name+value, reply.Ticket) || strings.Contains(name+value, key) {
			t.Errorf("Redis contains a usable credential: %s %s", name, value)
		}
	}
	var in atomic.Int32
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			r := httptest.NewRequest("GET", "/echo?ticket="+url.QueryEscape(reply.Ticket), nil)
			r.Header.Set("Origin", "https://app.example")
			_, err := gates[i%len(gates)].Authenticate(r.WithContext(ctx))
			if e, ok := errors.AsType[*auth.Error](err); ok && e.Status == http.StatusUnauthorized {
				return
			}
			if err != nil {
				t.Error(err)
			}
			in.Add(1)
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d admitted with one ticket", in.Load())
	}
}

// dump returns all strings that a server stores.
func dump(t testing.TB, redis *redistest.Server) map[string]string {
	t.Helper()
	o, err := rueidis.ParseURL(redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	o.ForceSingleClient, o.DisableCache = true, true
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := bounded.Context(t)
	names, err := c.Do(ctx, c.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil || len(names) == 0 {
		t.Fatalf("keys %q, %v", names, err)
	}
	all := map[string]string{}
	for _, n := range names {
		if all[n], err = c.Do(ctx, c.B().Get().Key(n).Build()).ToString(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A logout at one node takes effect on all nodes.
func TestLogoutAcrossNodes(t *testing.T) {
	redis := startRedis(t, false)
	key, entry, err := auth.NewAPIKey("ann")
	if err != nil {
		t.Fatal(err)
	}
	a, b := node(t, redis.URL(), Options{}), node(t, redis.URL(), Options{})
	seen := watch(t, b)
	keys, err := auth.NewAPIKeys(auth.APIKeyOptions{Keys: []auth.APIKey{entry}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/logout", nil)
	r.Header.Set("X-API-Key", key)
	w := httptest.NewRecorder()
	(&auth.Logout{Authenticator: auth.RefuseRevoked(keys, a), Store: a}).ServeHTTP(w, r)
	if w.Code != http.StatusNoContent {
		t.Fatalf("logout: %d", w.Code)
	}
	wantRevocation(t, seen, "ann")
	_, err = auth.RefuseRevoked(keys, b).Authenticate(r)
	if e, ok := errors.AsType[*auth.Error](err); !ok || e.Status != http.StatusUnauthorized {
		t.Errorf("at the other node: %v, want 401", err)
	}
}

// BenchmarkRevokeToWatch measures the time until another node has received a revocation.
func BenchmarkRevokeToWatch(b *testing.B) {
	redis := startRedis(b, false)
	a, other := node(b, redis.URL(), Options{}), node(b, redis.URL(), Options{})
	seen := watch(b, other)
	if err := a.Revoke(b.Context(), auth.Revocation{ID: "first"}); err != nil {
		b.Fatal(err)
	}
	<-seen
	for b.Loop() {
		if err := a.Revoke(b.Context(), auth.Revocation{Subject: "ann"}); err != nil {
			b.Fatal(err)
		}
		<-seen
	}
}

// BenchmarkRevoked measures the cost of one query to Redis for a handshake.
func BenchmarkRevoked(b *testing.B) {
	redis := startRedis(b, false)
	s := node(b, redis.URL(), Options{})
	id := &auth.Identity{Subject: "ann", ID: "7"}
	for b.Loop() {
		if revoked, err := s.Revoked(b.Context(), id); revoked || err != nil {
			b.Fatal(revoked, err)
		}
	}
}
