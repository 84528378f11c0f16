package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name          string
		global, local string // settings
		first, second *websocket.DialOptions
		other         *websocket.DialOptions // a client that must still be admitted
		path, atOther string
		status        int
	}{
		{"total", "connections: 1", "", nil, nil, nil, "/open", "", 503},
		{"address", "connections_per_address: 1", "", withLocalAddr("127.0.0.5", nil), withLocalAddr("127.0.0.5", nil), withLocalAddr("127.0.0.6", nil), "/open", "/open", 429},
		{"endpoint", "", "connections: 1", withLocalAddr("127.0.0.5", nil), withLocalAddr("127.0.0.6", nil), withLocalAddr("127.0.0.5", nil), "/open", "/chat", 503},
		{"address at an endpoint", "", "connections_per_address: 1", withLocalAddr("127.0.0.5", nil), withLocalAddr("127.0.0.5", nil), withLocalAddr("127.0.0.5", nil), "/open", "/chat", 429},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, parse(t, `
endpoints:
	- {name: open, path: /open, target: echo, auth: [anonymous], limits: {%s}}
	- {name: chat, path: /chat, target: echo, auth: [anonymous]}
limits: {%s}
`, tt.local, tt.global))
			c := r.open(t, tt.path, tt.first)
			e := r.refuse(t, tt.path, tt.second)
			if e.Status != tt.status || e.Header.Get("Retry-After") == "" {
				t.Errorf("%d, Retry-After %q", e.Status, e.Header.Get("Retry-After"))
			}
			if tt.atOther != "" {
				wantEcho(t, r.open(t, tt.atOther, tt.other))
			}
			if err := c.Close(websocket.CodeNormal, ""); err != nil {
				t.Fatal(err)
			}
			bounded.Until(t, func() bool { // the slot is released a moment after the close
				c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+tt.path, tt.second)
				if err == nil {
					c.CloseNow()
				}
				return err == nil || tt.atOther == "/open" && tt.name == "total"
			})
		})
	}
}

func TestLimitPerIdentity(t *testing.T) {
	cfg := parse(t, users, key)
	cfg.Endpoints[0].Limits.ConnectionsPerIdentity = 1
	r := run(t, cfg)
	r.open(t, "/chat", withToken(token("alice", time.Hour, nil)))
	e := r.refuse(t, "/chat", withToken(token("alice", time.Hour, map[string]any{"jti": "another"})))
	if e.Status != 429 || e.Header.Get("Retry-After") == "" {
		t.Errorf("%d", e.Status)
	}
	r.open(t, "/chat", withToken(token("bob", time.Hour, nil)))
	for range 3 { // anonymous clients have no identity
		r.open(t, "/open", nil)
	}
}

func TestHandshakeRate(t *testing.T) {
	for name, text := range map[string]string{
		"server":   "limits: {handshakes_per_second: 0.01}\nendpoints:\n\t- {path: /open, target: echo, auth: [anonymous]}",
		"endpoint": "endpoints:\n\t- {path: /open, target: echo, auth: [anonymous], limits: {handshakes_per_second: 0.01}}",
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, parse(t, text))
			for range burst(0.01) {
				r.open(t, "/open", withLocalAddr("127.0.0.5", nil))
			}
			e := r.refuse(t, "/open", withLocalAddr("127.0.0.5", nil))
			if e.Status != 429 || e.Header.Get("Retry-After") == "" {
				t.Errorf("%d, Retry-After %q", e.Status, e.Header.Get("Retry-After"))
			}
			r.open(t, "/open", withLocalAddr("127.0.0.6", nil))
		})
	}
}

// An address that continues after several rejections is disconnected before the TLS handshake.
func TestArrivalRate(t *testing.T) {
	r := run(t, parse(t, `
limits: {handshakes_per_second: 0.01}
endpoints:
	- {path: /open, target: echo, auth: [anonymous]}
`))
	bounded.Until(t, func() bool { // the connection is closed without a response
		c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/open", withLocalAddr("127.0.0.5", nil))
		if err == nil {
			c.CloseNow()
			return false
		}
		e, ok := err.(*websocket.HandshakeError) //nolint:errorlint // Dial returns a *HandshakeError unwrapped
		return ok && e.Status == 0
	})
	r.open(t, "/open", withLocalAddr("127.0.0.6", nil))
}

// stallingService starts a service that signals requests, and does not respond until release is closed.
func stallingService(t *testing.T, asked chan<- struct{}, release <-chan struct{}) string {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(service.Close)
	return service.URL
}

// limits.auth_calls is the maximum number of credentials that one method of an endpoint checks concurrently.
func TestAuthCalls(t *testing.T) {
	const most = 3
	asked, release := make(chan struct{}, 100), make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer service.Close()
	r := run(t, parse(t, `
auth:
	service:
		forward: {url: "%s", timeout: 5s, cache: 0s}
limits: {auth_calls: %d}
endpoints:
	- {name: judged, path: /judged, target: echo, auth: [service]}
`, service.URL, most))
	var all sync.WaitGroup
	for i := range most + 2 { // the two beyond the limit wait for a slot
		opts := withToken(secret(fmt.Sprintf("a-credential-%d-of-many", i)))
		all.Go(func() {
			c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/judged", opts)
			if err == nil {
				c.CloseNow()
			}
		})
	}
	for range most {
		bounded.Receive(t, asked)
	}
	if n := r.authCalls(); n != most {
		t.Errorf("%v calls are in progress", n)
	}
	select {
	case <-asked:
		t.Error("there is one call more than the limit")
	default:
	}
	close(release)
	all.Wait()
	bounded.Until(t, func() bool { return r.authCalls() == 0 })
}

// A service does not respond to 1,000 clients with credentials for it: they get a 503 with Retry-After, each uses little memory,
// and clients of other endpoints are not affected.
func TestStalledAuthService(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer service.Close()
	defer close(release)
	r := run(t, parse(t, `
auth:
	service:
		forward: {url: "%s", timeout: 2s}
limits: {auth_calls: 50}
endpoints:
	- {name: judged, path: /judged, target: echo, auth: [service]}
	- {name: open, path: /open, target: echo, auth: [anonymous]}
`, service.URL))
	before := r.open(t, "/open", nil)
	var all sync.WaitGroup
	var statuses [600]atomic.Int64
	for i := range 1000 {
		opts := withToken(secret(fmt.Sprintf("stalled-credential-%d-of-many", i)))
		all.Go(func() {
			c, err := websocket.Dial(bounded.Context(t), r.URLs()[0]+"/judged", opts)
			if err == nil {
				c.CloseNow()
			} else if e, ok := err.(*websocket.HandshakeError); ok { //nolint:errorlint // Dial returns a *HandshakeError unwrapped
				if e.Status == 503 && e.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				statuses[e.Status].Add(1)
			}
		})
	}
	bounded.Until(t, func() bool { return asked.Load() > 0 })
	for range 20 { // other endpoints must respond while the service does not
		wantEcho(t, r.open(t, "/open", nil))
		if n := r.authCalls(); n > 2*50 {
			t.Errorf("%v calls are in progress", n)
		}
	}
	wantEcho(t, before)
	all.Wait()
	if n := statuses[503].Load(); n != 1000 {
		t.Errorf("%d of 1000 clients got a 503", n)
	}
	if n := asked.Load(); n > 200 {
		t.Errorf("%d requests to the service", n)
	}
}
