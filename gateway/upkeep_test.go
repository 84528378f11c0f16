package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

// shutRecorder is a connection that records when and how it was shut.
type shutRecorder struct {
	began  time.Time
	after  time.Duration
	code   websocket.Code
	reason string
}

func (s *shutRecorder) Shut(code websocket.Code, reason string) error {
	s.after, s.code, s.reason = time.Since(s.began), code, reason
	return nil
}

func (s *shutRecorder) CloseNow() error { return nil }

// upkeepTest is an endpoint with limits, in a synctest bubble.
type upkeepTest struct {
	*endpoint
	t *testing.T
}

func newUpkeepTest(t *testing.T, idle time.Duration, rechecks bool) *upkeepTest {
	t.Helper()
	rules, err := auth.NewRules(auth.Rule{Effect: auth.Deny, If: "claims.banned == true"}, auth.Rule{Effect: auth.Allow, If: "true"})
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{
		endpointState: &endpointState{metrics: observe.NewEndpoint("e")}, rec: newRecorder(nil, observe.Live{}), rules: rules, rechecks: rechecks,
		cfg: config.Endpoint{Name: "e", IdleTimeout: config.Duration(idle), Expiry: config.Expiry{Close: true}},
	}
	e.adm = &admission{conns: registry.New(&auth.Live{}), upkeeps: newUpkeeps()}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		e.adm.upkeeps.run(ctx)
		close(over)
	}()
	t.Cleanup(func() {
		stop()
		bounded.Receive(t, over)
	})
	return &upkeepTest{e, t}
}

// open opens a connection of an identity.
func (k *upkeepTest) open(id *auth.Identity) (*upkeep, *shutRecorder) {
	k.t.Helper()
	entry := &registry.Entry{Endpoint: "e", Addr: netip.MustParseAddr("192.0.2.1")}
	entry.Identity = auth.Identity{Subject: id.Subject, Method: id.Method, Issued: id.Issued}
	if err := k.adm.conns.Enter(entry, registry.Bounds{}); err != nil {
		k.t.Fatal(err)
	}
	if err := k.adm.conns.Admit(entry); err != nil {
		k.t.Fatal(err)
	}
	who := new(atomic.Pointer[auth.Identity])
	who.Store(id)
	u, h := k.newUpkeep(entry, who), &shutRecorder{began: time.Now()}
	k.adm.conns.Open(entry, h)
	u.begin()
	k.t.Cleanup(func() {
		u.end()
		k.adm.conns.Leave(entry)
	})
	return u, h
}

// A connection without a message in either direction is closed after idle_timeout, at most a quarter of it later; any message
// restarts the time.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newUpkeepTest(t, time.Minute, false)
		id := &auth.Identity{Subject: "ann", Method: "jwt"}
		_, silent := k.open(id)
		in, hears := k.open(id)
		out, sends := k.open(id)
		for range 10 {
			<-time.After(50 * time.Second)
			in.entry.In.Add(0)
			out.entry.Out.Add(1)
		}
		synctest.Wait()
		if silent.after < time.Minute || silent.after > 75*time.Second || silent.code != websocket.CodeNormal || silent.reason != "idle for 1m" {
			t.Errorf("closed after %v with %d %q", silent.after, silent.code, silent.reason)
		}
		if hears.code != 0 || sends.code != 0 {
			t.Errorf("with messages: closed with %d, %d", hears.code, sends.code)
		}
		out.end() // the connection was closed
		<-time.After(time.Hour)
		synctest.Wait()
		if hears.code != websocket.CodeNormal || sends.code != 0 {
			t.Errorf("after that: closed with %d, and %d for a connection that had ended", hears.code, sends.code)
		}
	})
}

// A session is rechecked before its interval is over. The service's response applies; without a response the session continues for
// the grace period.
func TestRecheck(t *testing.T) {
	const every, grace = 30 * time.Minute, time.Hour
	down := auth.Unavailable(time.Second, errors.New("down"))
	for name, tt := range map[string]struct {
		answer   func(asked int) (*auth.Identity, error)
		min, max time.Duration // when the connection is closed; 0 if it is not closed within a day
		reason   string
	}{
		"yes": {func(int) (*auth.Identity, error) { return &auth.Identity{Subject: "ann"}, nil }, 0, 0, ""},
		"no":  {func(int) (*auth.Identity, error) { return nil, auth.Unauthorized(errors.New("no")) }, every / 2, every, auth.ReasonRevoked},
		"no, later": {func(n int) (*auth.Identity, error) {
			return &auth.Identity{Subject: "ann"}, map[bool]error{true: auth.Forbidden(errors.New("no"))}[n > 3]
		}, 2 * every, 4 * every, auth.ReasonRevoked},
		"another user": {func(int) (*auth.Identity, error) { return &auth.Identity{Subject: "bob"}, nil }, every / 2, every, auth.ReasonRevoked},
		"denied by a rule": {func(int) (*auth.Identity, error) {
			return &auth.Identity{Subject: "ann", Claims: map[string]any{"banned": true}}, nil
		}, every / 2, every, auth.ReasonRevoked},
		"it is over": {func(int) (*auth.Identity, error) { return &auth.Identity{Subject: "ann", Expires: time.Now()}, nil }, every / 2, every, auth.ReasonRevoked},
		"an end": {func(int) (*auth.Identity, error) {
			return &auth.Identity{Subject: "ann", Expires: time.Now().Add(time.Minute)}, nil
		}, every/2 + time.Minute, every + time.Minute, auth.ReasonExpired},
		"nothing": {func(int) (*auth.Identity, error) { return nil, down }, every/2 + grace*3/4, every + grace, reasonUnknown},
		"nothing, then yes": {func(n int) (*auth.Identity, error) {
			return &auth.Identity{Subject: "ann"}, map[bool]error{true: down}[n%5 != 0]
		}, 0, 0, ""},
		"a panic":       {func(int) (*auth.Identity, error) { panic("broken") }, every/2 + grace*3/4, every + grace, reasonUnknown},
		"another error": {func(int) (*auth.Identity, error) { return nil, errors.New("strange") }, every/2 + grace*3/4, every + grace, reasonUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newUpkeepTest(t, 0, true)
				asked := 0
				again := &auth.Again{Every: every, Grace: grace}
				again.Ask = func(context.Context) (*auth.Identity, error) {
					asked++
					id, err := tt.answer(asked)
					if err != nil {
						return nil, err
					}
					id.Method, id.Again = "forward", again
					return id, nil
				}
				_, h := k.open(&auth.Identity{Subject: "ann", Method: "forward", Issued: time.Now(), Again: again})
				<-time.After(24 * time.Hour)
				synctest.Wait()
				if tt.max == 0 {
					if h.code != 0 || asked < 24 {
						t.Errorf("closed after %v with %q; %d requests", h.after, h.reason, asked)
					}
				} else if h.after < tt.min || h.after > tt.max || h.code != auth.CodeExpired || h.reason != tt.reason {
					t.Errorf("closed after %v with %d %q, want from %v to %v and %q", h.after, h.code, h.reason, tt.min, tt.max, tt.reason)
				}
			})
		})
	}
}

// After the client has sent another credential, the service's response about the previous credential is ignored, as is the time for which
// the service was unavailable.
func TestRecheckOfReplacedCredential(t *testing.T) {
	for name, said := range map[string]error{"no": auth.Unauthorized(errors.New("no")), "nothing": auth.Unavailable(time.Second, errors.New("down"))} {
		synctest.Test(t, func(t *testing.T) {
			const every, grace = 30 * time.Minute, time.Hour
			k := newUpkeepTest(t, 0, true)
			var of atomic.Pointer[upkeep]
			asked, newer := 0, &auth.Identity{Subject: "ann", Method: "jwt"}
			again := &auth.Again{Every: every, Grace: grace, Ask: func(context.Context) (*auth.Identity, error) {
				if asked++; asked == 2 || name == "no" {
					of.Load().identity.Store(newer)
				}
				return nil, said
			}}
			u, h := k.open(&auth.Identity{Subject: "ann", Method: "forward", Again: again})
			of.Store(u)
			<-time.After(24 * time.Hour)
			synctest.Wait()
			if h.code != 0 || u.identity.Load() != newer || !u.failing.IsZero() {
				t.Errorf("%s: closed after %v with %d %q, failing since %v", name, h.after, h.code, h.reason, u.failing)
			}
		})
	}
}

// Rechecks of sessions that began together are spread: few are concurrent, and no minute has many more than the others.
func TestRechecksAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, every = 3000, 30 * time.Minute
		k := newUpkeepTest(t, 0, true)
		var under, most, asked atomic.Int64
		began := time.Now()
		var minutes [61]atomic.Int64
		again := &auth.Again{Every: every, Grace: time.Hour}
		again.Ask = func(context.Context) (*auth.Identity, error) {
			now := under.Add(1)
			defer under.Add(-1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			asked.Add(1)
			minutes[int(time.Since(began).Minutes())].Add(1)
			<-time.After(100 * time.Millisecond) // the service is slow
			return &auth.Identity{Subject: "ann", Method: "forward", Again: again}, nil
		}
		for range n {
			k.open(&auth.Identity{Subject: "ann", Method: "forward", Again: again})
		}
		<-time.After(every)
		if got := asked.Load(); got < n {
			t.Errorf("%d of %d sessions were rechecked in the interval", got, n)
		}
		if got := most.Load(); got > maxRechecks {
			t.Errorf("%d concurrently, want %d at most", got, maxRechecks)
		}
		for i := range 30 {
			if got := minutes[i].Load(); i < 15 && got > 0 || got > 2*n/15 {
				t.Errorf("%d in minute %d", got, i)
			}
		}
		<-time.After(time.Second) // wait for the rechecks that have begun
	})
}

// Connections are closed when the service no longer confirms their session, with the forward auth method alone or behind a session
// cookie.
func TestForwardIsRechecked(t *testing.T) {
	var gone atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Auth-Request-User", "ann")
	}))
	t.Cleanup(service.Close)
	r := run(t, parse(t, `
auth:
	portal: {forward: {url: "%[1]s", cache: 0s, recheck: 200ms, timeout: 1m}}
	pages: {cookie: {name: session, origins: ["https://app.example"], forward: {url: "%[1]s", cache: 0s, recheck: 200ms, timeout: 1m}}}
endpoints:
	- {path: /portal, target: echo, auth: [portal], origins: ["https://app.example"]}
	- {path: /pages, target: channels, auth: [pages], origins: ["https://app.example"]}
apps: [{id: app, secret: 0123456789abcdef0123456789abcdef}]
`, service.URL))
	page := &websocket.DialOptions{Header: http.Header{"Origin": {"https://app.example"}, "Cookie": {"session=s"}}}
	open := []*websocket.Conn{r.open(t, "/portal", withToken("token")), r.open(t, "/pages", page)}
	wantEcho(t, open[0])
	bounded.Until(t, func() bool { return r.conns.Len() == 2 })
	gone.Store(true)
	for _, c := range open {
		if e := readCloseError(t, c); e.Code != auth.CodeExpired || e.Reason != auth.ReasonRevoked {
			t.Errorf("closed with %d %q", e.Code, e.Reason)
		}
	}
	r.metric(t, `handfast_sessions_ended_total{outcome="refused"} 2`)
}
