package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// authService is a function that acts as the auth service, without a network.
type authService func(r *http.Request) (*http.Response, error)

func (f authService) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer returns a response of the service; fields are "Name: value".
func answer(status int, body string, fields ...string) *http.Response {
	h := http.Header{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func newForward(t testing.TB, o ForwardOptions) *Forward {
	t.Helper()
	if o.URL == "" {
		o.URL = "http://auth.internal/check"
	}
	f, err := NewForward(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

const forwardSecret = "s3cret-session-4711"

// withSession returns a handshake with a session cookie.
func withSession(session string) *http.Request {
	r := httptest.NewRequest("GET", "https://ws.example/chat/7?room=a&access_token=t0ken-in-url&ticket=hft_x", nil)
	r.Header.Set("Cookie", "theme=dark; session="+session)
	r.Header.Set("X-Forwarded-For", "203.0.113.66")
	r.Header.Set("X-Forwarded-Uri", "/admin")
	r.Header.Set("Remote-User", "root")
	r.Header.Set("X-Tenant", "acme")
	return r
}

// The service gets the selected fields and the actual request of the client, but nothing that a client could forge.
func TestForwardQuestion(t *testing.T) {
	var got http.Header
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("X-Auth-Request-User", "ann")
	}))
	defer service.Close()
	ask := func(o ForwardOptions, r *http.Request) (map[string]string, error) {
		t.Helper()
		got = nil
		o.URL = service.URL + "/check?who=ws"
		f := newForward(t, o)
		defer f.Close()
		_, err := f.Authenticate(r)
		fields := map[string]string{}
		for name, values := range got {
			if name != "User-Agent" && name != "Accept-Encoding" {
				fields[name] = strings.Join(values, "|")
			}
		}
		return fields, err
	}
	about := map[string]string{
		"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "ws.example", "X-Forwarded-For": "192.0.2.1",
		"X-Forwarded-Uri":   "/chat/7?room=a&access_token=redacted&ticket=redacted",
		"X-Original-Method": "GET", "X-Original-Uri": "/chat/7?room=a&access_token=redacted&ticket=redacted",
	}
	raw := withSession("x").URL.RequestURI()
	bearer := withSession(forwardSecret)
	bearer.Header.Set("Authorization", "Bearer "+forwardSecret)
	noCookie := withSession("x")
	noCookie.Header.Del("Cookie")
	for _, tt := range []struct {
		name    string
		options ForwardOptions
		request *http.Request
		want    map[string]string // fields in addition to about; nil means that the service is not called
	}{
		{"cookie", ForwardOptions{}, withSession("x"), map[string]string{"Cookie": "theme=dark; session=x"}},
		{"one cookie of several", ForwardOptions{Cookies: []string{"session"}}, withSession("x"), map[string]string{"Cookie": "session=x"}},
		{"not that cookie", ForwardOptions{Cookies: []string{"sid"}}, withSession("x"), nil},
		{"both", ForwardOptions{}, bearer, map[string]string{"Cookie": "theme=dark; session=" + forwardSecret, "Authorization": "Bearer " + forwardSecret}},
		{"only the token, and a field", ForwardOptions{Credentials: []string{"authorization"}, Headers: []string{"x-tenant"}}, bearer,
			map[string]string{"Authorization": "Bearer " + forwardSecret, "X-Tenant": "acme"}},
		{"the URI unchanged", ForwardOptions{RawQuery: true}, withSession("x"), map[string]string{"Cookie": "theme=dark; session=x",
			"X-Forwarded-Uri": raw, "X-Original-Uri": raw}},
		{"a further secret", ForwardOptions{Secrets: []string{"ROOM"}}, withSession("x"), map[string]string{"Cookie": "theme=dark; session=x",
			"X-Forwarded-Uri": "/chat/7?room=redacted&access_token=redacted&ticket=redacted",
			"X-Original-Uri":  "/chat/7?room=redacted&access_token=redacted&ticket=redacted"}},
		{"no credential", ForwardOptions{Headers: []string{"X-Tenant"}}, noCookie, nil},
		{"no credential, but Always", ForwardOptions{Always: true}, noCookie, map[string]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fields, err := ask(tt.options, tt.request)
			if tt.want == nil {
				if !errors.Is(err, ErrNoCredentials) || len(fields) != 0 {
					t.Errorf("error %v, service got %v; want ErrNoCredentials and nothing", err, fields)
				}
				return
			}
			want := maps.Clone(about)
			maps.Copy(want, tt.want)
			if err != nil || !maps.Equal(fields, want) {
				t.Errorf("%v\n got %v\nwant %v", err, fields, want)
			}
		})
	}
}

// Each response of the service leads to the expected result.
func TestForwardAnswers(t *testing.T) {
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, tt := range []struct {
		name    string
		answer  *http.Response
		options ForwardOptions
		subject string
		status  int
		check   func(t *testing.T, id *Identity, err error)
	}{
		{name: "user in a field", answer: answer(200, "", "X-Auth-Request-User: ann", "X-Auth-Request-Groups: a, b", "X-Auth-Request-Email: a@b"), subject: "ann",
			check: func(t *testing.T, id *Identity, _ error) {
				if fmt.Sprint(id.Claims) != "map[email:a@b groups:[a b]]" || id.Issued.IsZero() || !id.Expires.IsZero() {
					t.Errorf("identity %+v", id)
				}
			}},
		{name: "another field", answer: answer(204, "", "Remote-User: bob"), subject: "bob"},
		{name: "a field that was chosen", answer: answer(200, "", "X-Who: carl", "Remote-User: bob", "X-Team: x,y"), subject: "carl",
			options: ForwardOptions{SubjectHeaders: []string{"X-Who"}, Claims: []ForwardClaim{{Header: "X-Team", Claim: "team"}}},
			check: func(t *testing.T, id *Identity, _ error) {
				if id.Claims["team"] != "x,y" {
					t.Errorf("claims %v", id.Claims)
				}
			}},
		{name: "JSON", answer: answer(200, fmt.Sprintf(`{"subject":"dora","id":"s1","issued":"2020-01-02T03:04:05Z","expires":%d,"claims":{"n":1},"more":2}`, later.Unix()),
			"Content-Type: application/json", "Remote-User: bob"), subject: "dora",
			check: func(t *testing.T, id *Identity, _ error) {
				if !id.Expires.Equal(later) || id.Issued.Year() != 2020 || id.ID != "s1" || id.Claims["n"] != 1 {
					t.Errorf("identity %+v", id)
				}
			}},
		{name: "a life of its own", answer: answer(200, "", "Remote-User: bob"), options: ForwardOptions{Lifetime: time.Hour}, subject: "bob",
			check: func(t *testing.T, id *Identity, _ error) {
				if id.Expires.Sub(id.Issued) != time.Hour {
					t.Errorf("identity %+v", id)
				}
			}},
		{name: "approval without a user", answer: answer(200, "welcome"), status: 503},
		{name: "approval without a user, with a default", answer: answer(200, "welcome"), options: ForwardOptions{DefaultSubject: "guest"}, subject: "guest"},
		{name: "an invalid name", answer: answer(200, "", "Remote-User: a\x01b"), status: 503},
		{name: "an endless name", answer: answer(200, "", "Remote-User: "+strings.Repeat("x", 2000)), status: 503},
		{name: "expired", answer: answer(200, `{"subject":"dora","expires":1}`, "Content-Type: application/json"), status: 401},
		{name: "broken JSON", answer: answer(200, `{"subject":"`+forwardSecret, "Content-Type: application/json", "Remote-User: x"), status: 503},
		{name: "an invalid time", answer: answer(200, `{"subject":"x","expires":-1}`, "Content-Type: application/json"), status: 503},
		{name: "endless JSON", answer: answer(200, `{"subject":"x"}`+strings.Repeat(" ", 100_000), "Content-Type: application/json"), status: 503},
		{name: "401", answer: answer(401, forwardSecret, "WWW-Authenticate: Bearer realm=\"x\""), status: 401,
			check: func(t *testing.T, _ *Identity, err error) { wantRefusal(t, err, 401, `Bearer realm="x"`) }},
		{name: "401 without a challenge", answer: answer(401, ""), options: ForwardOptions{Challenge: "Bearer"}, status: 401,
			check: func(t *testing.T, _ *Identity, err error) { wantRefusal(t, err, 401, "Bearer") }},
		{name: "to the sign-in page", answer: answer(302, "", "Location: https://sso.example/"), status: 401},
		{name: "403", answer: answer(403, forwardSecret), status: 403},
		{name: "429", answer: answer(429, "", "Retry-After: 7"), status: 429,
			check: func(t *testing.T, _ *Identity, err error) {
				if e, _ := errors.AsType[*Error](err); e.Header.Get("Retry-After") != "7" {
					t.Errorf("Retry-After %q", e.Header.Get("Retry-After"))
				}
			}},
		{name: "404", answer: answer(404, ""), status: 503},
		{name: "500", answer: answer(500, forwardSecret), status: 503},
		{name: "503 for long", answer: answer(503, "", "Retry-After: 86400"), status: 503,
			check: func(t *testing.T, _ *Identity, err error) {
				if e, _ := errors.AsType[*Error](err); e.Header.Get("Retry-After") != "60" {
					t.Errorf("Retry-After %q", e.Header.Get("Retry-After"))
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Transport = authService(func(*http.Request) (*http.Response, error) { return tt.answer, nil })
			id, err := newForward(t, tt.options).Authenticate(withSession(forwardSecret))
			switch {
			case tt.status != 0 && tt.check == nil:
				wantRefusal(t, err, tt.status, "", forwardSecret)
			case tt.status == 0 && (err != nil || id.Subject != tt.subject || id.Method != "forward"):
				t.Fatalf("identity %+v, %v", id, err)
			}
			if tt.check != nil {
				tt.check(t, id, err)
			}
		})
	}
}

func TestForwardRemembers(t *testing.T) {
	yes := func(fields ...string) *http.Response { return answer(200, "", append(fields, "Remote-User: ann")...) }
	for _, tt := range []struct {
		name    string
		answer  func() *http.Response
		options ForwardOptions
		ttl     time.Duration
	}{
		{"yes", func() *http.Response { return yes() }, ForwardOptions{}, 10 * time.Second},
		{"yes, for as long as was chosen", func() *http.Response { return yes() }, ForwardOptions{TTL: time.Second}, time.Second},
		{"yes, not cached", func() *http.Response { return yes() }, ForwardOptions{TTL: -1}, 0},
		{"max-age", func() *http.Response { return yes("Cache-Control: private, max-age=20") }, ForwardOptions{}, 20 * time.Second},
		{"max-age above the limit", func() *http.Response { return yes("Cache-Control: max-age=86400") }, ForwardOptions{}, time.Minute},
		{"max-age that cannot be read", func() *http.Response { return yes("Cache-Control: max-age=-1") }, ForwardOptions{}, 0},
		{"no-store", func() *http.Response { return yes("Cache-Control: no-store, max-age=20") }, ForwardOptions{}, 0},
		{"not beyond its end", func() *http.Response {
			return answer(200, fmt.Sprintf(`{"subject":"x","expires":%d}`, time.Now().Add(5*time.Second).Unix()), "Content-Type: application/json")
		}, ForwardOptions{}, 5 * time.Second},
		{"401", func() *http.Response { return answer(401, "") }, ForwardOptions{}, time.Second},
		{"403, not cached", func() *http.Response { return answer(403, "") }, ForwardOptions{DenyTTL: -1}, 0},
		{"500", func() *http.Response { return answer(500, "") }, ForwardOptions{Failures: 1000}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				tt.options.Transport = authService(func(*http.Request) (*http.Response, error) { asked++; return tt.answer(), nil })
				f := newForward(t, tt.options)
				want := func(n int, when string) {
					t.Helper()
					f.Authenticate(withSession("x"))
					if asked != n {
						t.Errorf("%s: %d requests, want %d", when, asked, n)
					}
				}
				want(1, "first")
				if tt.ttl == 0 {
					want(2, "again")
					return
				}
				<-time.After(tt.ttl - time.Millisecond)
				want(1, "while it is remembered")
				f.Authenticate(withSession("y"))
				if asked != 2 {
					t.Error("another credential gets the same response")
				}
				<-time.After(time.Millisecond)
				want(3, "after that")
			})
		})
	}
}

// While a request to the service is in progress, callers with the same key wait for its response, even if the first client has
// left.
func TestForwardSendsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		f := newForward(t, ForwardOptions{Transport: authService(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			select {
			case <-time.After(time.Second):
				return answer(200, "", "Remote-User: ann"), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})})
		var wg sync.WaitGroup
		first, leave := context.WithCancel(t.Context())
		var in atomic.Int32
		for i := range 1000 {
			r := withSession(fmt.Sprint(i % 10))
			if i == 0 {
				r = r.WithContext(first)
			}
			wg.Go(func() {
				if id, err := f.Authenticate(r); err == nil && id.Subject == "ann" {
					in.Add(1)
				}
			})
			synctest.Wait()
		}
		leave()
		wg.Wait()
		if asked.Load() != 10 || in.Load() != 1000 {
			t.Errorf("%d requests for 10 sessions, %d of 1000 clients were admitted", asked.Load(), in.Load())
		}
	})
}

// After some consecutive failures no request is sent for a while; then a single request is sent.
func TestForwardBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, status := 0, 500
		f := newForward(t, ForwardOptions{Failures: 3, Pause: 10 * time.Second, Transport: authService(func(*http.Request) (*http.Response, error) {
			asked++
			if status == 0 {
				return nil, errBroken
			}
			return answer(status, "", "Remote-User: ann"), nil
		})})
		n := 0
		try := func(total, want int) {
			t.Helper()
			n++
			_, err := f.Authenticate(withSession(fmt.Sprint("s", n)))
			if want != 200 {
				wantRefusal(t, err, want, "")
			} else if err != nil {
				t.Error(err)
			}
			if asked != total {
				t.Errorf("try %d: %d requests, want %d", n, asked, total)
			}
		}
		try(1, 503)
		try(2, 503)
		status = 404 // a 404 is not a decision, but shows that the service responds
		try(3, 503)
		status = 0
		try(4, 503)
		try(5, 503)
		try(6, 503)
		status = 200
		for range 100 {
			try(6, 503)
		}
		<-time.After(9 * time.Second)
		try(6, 503)
		status = 0
		<-time.After(time.Second)
		try(7, 503) // the probe fails
		try(7, 503)
		status = 200
		<-time.After(10 * time.Second)
		try(8, 200)
		try(9, 200)
	})
}

// If the service accepts requests but does not respond during a thousand handshakes, the number of requests is limited, every
// client gets a 503 within the time limits, and later clients get a 503 immediately.
func TestForwardStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, peak atomic.Int32
		f := newForward(t, ForwardOptions{InFlight: 64, Wait: time.Second, Timeout: 5 * time.Second, Pause: 5 * time.Second,
			Transport: authService(func(r *http.Request) (*http.Response, error) {
				peak.Store(max(peak.Load(), running.Add(1)))
				defer running.Add(-1)
				<-r.Context().Done()
				return nil, r.Context().Err()
			})})
		begin := time.Now()
		var within [2]atomic.Int32
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				_, err := f.Authenticate(withSession(fmt.Sprint(forwardSecret, i)))
				wantRefusal(t, err, 503, "", forwardSecret)
				switch took := time.Since(begin); took {
				case f.o.Wait:
					within[0].Add(1)
				case f.o.Timeout:
					within[1].Add(1)
				default:
					t.Errorf("the response took %v", took)
				}
			})
		}
		wg.Wait()
		if peak.Load() != 64 || within[0].Load() != 1000-64 || within[1].Load() != 64 {
			t.Errorf("%d concurrent requests; %d responses after the wait, %d after the timeout", peak.Load(), within[0].Load(), within[1].Load())
		}
		begin = time.Now()
		_, err := f.Authenticate(withSession("later"))
		wantRefusal(t, err, 503, "")
		if took := time.Since(begin); took != 0 {
			t.Errorf("while the circuit breaker is open, a response takes %v", took)
		}
	})
}

// With a real service that stalls, a thousand handshakes cost little more than their own goroutines.
func TestForwardStalledServer(t *testing.T) {
	var asked atomic.Int32
	stalled := make(chan struct{})
	full := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == 64 {
			close(full)
		}
		<-stalled
	}))
	defer service.Close()
	defer close(stalled)
	f := newForward(t, ForwardOptions{URL: service.URL, InFlight: 64, Wait: 200 * time.Millisecond, Timeout: 2 * time.Second})
	defer f.Close()
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 1000 {
		r := withSession(fmt.Sprint(forwardSecret, i))
		wg.Go(func() {
			_, err := f.Authenticate(r)
			wantRefusal(t, err, 503, "", forwardSecret)
		})
	}
	bounded.Receive(t, full)
	// Each request uses at most four goroutines on this side, and three in the test's service.
	if n := runtime.NumGoroutine() - goroutines; n > 1000+64*7 {
		t.Errorf("%d additional goroutines for 1000 handshakes", n)
	}
	runtime.ReadMemStats(&during)
	if grown := int64(during.HeapInuse+during.StackInuse) - int64(before.HeapInuse+before.StackInuse); grown > 64<<20 {
		t.Errorf("%d additional MiB for 1000 handshakes", grown>>20)
	}
	wg.Wait()
	// The other handshakes found no free slot, and later ones found the circuit breaker open.
	if n := asked.Load(); n > 64+5 {
		t.Errorf("%d requests, want 64", n)
	}
}

func TestForwardOptions(t *testing.T) {
	for _, o := range []ForwardOptions{
		{}, {URL: "ftp://x/"}, {URL: "http://user:" + forwardSecret + "@x/"}, {URL: "http://" + forwardSecret + "%zz"},
		{URL: "http://x/", Headers: []string{"x-forwarded-for"}}, {URL: "http://x/", Credentials: []string{"Upgrade"}}, {URL: "http://x/", Headers: []string{""}},
	} {
		if _, err := NewForward(o); err == nil || strings.Contains(err.Error(), forwardSecret) {
			t.Errorf("NewForward(%+v): %v; want an error without the password", o, err)
		}
	}
	// The service is unreachable: the error does not reveal its URL.
	service := httptest.NewServer(nil)
	service.Close()
	_, err := newForward(t, ForwardOptions{URL: service.URL + "/?key=" + forwardSecret}).Authenticate(withSession(forwardSecret))
	wantRefusal(t, err, 503, "", forwardSecret)
}
