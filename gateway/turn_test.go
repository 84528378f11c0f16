package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A service that stalls delays the clients with a credential for it. Clients that use another method of the same endpoint, or none,
// are not affected.
func TestStalledMethod(t *testing.T) {
	asked, release := make(chan struct{}, 100), make(chan struct{})
	r := run(t, parse(t, `
auth:
	service: {forward: {url: "%[2]s", timeout: 1m, headers: [X-Session]}}
	issuer: {jwt: {jwks_url: "%[2]s", allow_http: true, any_audience: true, from: ["query:remote"]}}
	users: {jwt: {secret: "%[1]s", from: ["query:token"]}}
limits: {auth_calls: 2}
endpoints:
	- {name: all, path: /all, target: echo, auth: [service, issuer, users, anonymous]}
`, key, stallingService(t, asked, release)))
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer close(release)
	for i := range 2 + 2*authQueue + 10 { // more than the number that may wait for the service
		waiting.Go(func() {
			opts := &websocket.DialOptions{Header: http.Header{"X-Session": {secret(fmt.Sprintf("a-session-of-many-%d", i))}}}
			if c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/all", opts); err == nil {
				c.CloseNow()
				t.Error("a client was admitted before its method responded")
			}
		})
	}
	bounded.Receive(t, asked)
	bounded.Receive(t, asked)
	for range 5 { // these clients are admitted although the service does not respond
		wantEcho(t, r.open(t, "/all?token="+token("alice", time.Hour, nil), nil))
		wantEcho(t, r.open(t, "/all", nil))
	}
}

// A user can get a limited number of tickets; further requests get a 429 and are logged.
func TestTicketsHaveAQuota(t *testing.T) {
	r := run(t, parse(t, `
auth:
	users: {jwt: {secret: "%s"}}
	tickets: {ticket: {path: /ticket, auth: [users], ttl: 60s}}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [tickets]}
`, key))
	header := http.Header{"Authorization": {"Bearer " + token("alice", time.Hour, nil)}}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	got := map[int]int{}
	for range 1010 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URLs()[0]+"/ticket", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got[resp.StatusCode]++; resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if got[200] != 1000 || got[429] != 10 {
		t.Errorf("%v", got)
	}
	waitForLog(t, &r.audited, `"refused"`, `"status":429`, `"user":"alice"`, `"path":"/ticket"`, `"decision":"deny"`)
	if n := len(r.rec.refused.List()); n == 0 {
		t.Error("/handshakes lists no refusal")
	}
	bob := http.Header{"Authorization": {"Bearer " + token("bob", time.Hour, nil)}}
	if resp, _ := requestPage(t, http.MethodPost, r.URLs()[0]+"/ticket", bob); resp.StatusCode != 200 {
		t.Errorf("another user: %d", resp.StatusCode)
	}
}

// blockingStore is a store that signals requests, and waits for the test before it responds.
type blockingStore struct {
	auth.Store
	asked, answer chan struct{}
}

func (s *blockingStore) Revoked(context.Context, *auth.Identity) (bool, error) {
	s.asked <- struct{}{}
	<-s.answer
	return false, nil
}

// limits.auth_calls also limits how many handshakes of an endpoint wait for a remote store.
func TestAuthCallsOfTheStore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		redis *config.RedisStore
		calls int
		bound bool
	}{
		{"on another machine", &config.RedisStore{}, 1, true},
		{"without a limit", &config.RedisStore{}, 0, false},
		{"in this process", nil, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parse(t, users, key)
			cfg.Store.Redis, cfg.Limits.AuthCalls = tt.redis, tt.calls
			s := &blockingStore{asked: make(chan struct{}, 3), answer: make(chan struct{})}
			m, err := newMethods(cfg, s, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := m.chain("endpoints[0].auth", "chat", cfg.Endpoints[0].Auth)
			if err != nil {
				t.Fatal(err)
			}
			ask := func(ctx context.Context) <-chan error {
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/chat", nil)
				r.Header = withToken(token("alice", time.Hour, nil)).Header
				answered := make(chan error, 1)
				go func() {
					_, err := chain.Authenticate(r)
					answered <- err
				}()
				return answered
			}
			first := ask(bounded.Context(t))
			bounded.Receive(t, s.asked)
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			second := ask(gone) // it waits for its turn
			if tt.bound {
				if err := bounded.Receive(t, second); err == nil || len(s.asked) > 0 {
					t.Errorf("beyond the limit: %v", err)
				}
			} else {
				bounded.Receive(t, s.asked)
			}
			close(s.answer)
			if err := bounded.Receive(t, first); err != nil {
				t.Error(err)
			}
			if err := bounded.Receive(t, ask(bounded.Context(t))); err != nil { // the turn was released
				t.Error(err)
			}
			if !tt.bound {
				bounded.Receive(t, second)
			}
		})
	}
}
