package certs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/handfast/handfast/internal/bounded"
)

// fakeCA is a simulated CA without a network: it responds to every request, and records the times of the requests.
type fakeCA struct {
	mu       sync.Mutex
	reply    func() (*http.Response, error)
	requests []time.Time
}

func (c *fakeCA) RoundTrip(*http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, time.Now())
	return c.reply()
}

func failing(text string) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, errors.New(text) }
}

// newTestSource returns an acmeSource for one host, and the events that it reports.
func newTestSource(t *testing.T, ca *fakeCA) (*acmeSource, events) {
	t.Helper()
	alive, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	reported := make(events, 100)
	a, err := openACME(alive, ACME{Hosts: []string{"www.example.com"}, AgreeTerms: true, Cache: filepath.Join(t.TempDir(), "cache")},
		func(e Event) { reported <- e })
	if err != nil {
		t.Fatal(err)
	}
	a.transport.next = ca
	return a, reported
}

// Failed attempts are repeated after a time that doubles, up to an hour.
func TestACMEPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := &fakeCA{reply: failing("out of order")}
		a, reported := newTestSource(t, ca)
		alive, stop := context.WithCancel(t.Context())
		a.alive, a.transport.alive = alive, alive
		began := time.Now()
		var running sync.WaitGroup
		a.start(&running)
		a.start(&running) // a second start must not cause more requests
		<-time.After(4 * time.Hour)
		stop()
		running.Wait()
		var minutes []int
		for _, at := range ca.requests {
			minutes = append(minutes, int(at.Sub(began).Minutes()))
		}
		if want := []int{0, 5, 15, 35, 75, 135, 195}; !slices.Equal(minutes, want) {
			t.Errorf("requests after %v minutes, want %v", minutes, want)
		}
		if len(reported) != len(minutes) {
			t.Errorf("%d events", len(reported))
		}
	})
}

// Another node may have put a certificate into the cache: the cache is checked every ten minutes, without requests to the CA.
func TestACMEUsesCachedCertificate(t *testing.T) {
	ca := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		made := ca.issue([]string{"www.example.com"}) // valid according to the bubble's clock
		wire := &fakeCA{reply: failing("out of order")}
		a, reported := newTestSource(t, wire)
		alive, stop := context.WithCancel(t.Context())
		a.alive, a.transport.alive = alive, alive
		var running sync.WaitGroup
		a.start(&running)
		synctest.Wait()
		if e := <-reported; e.Kind != EventFailed {
			t.Errorf("reported: %v", e)
		}
		write(t, filepath.Join(a.opts.Cache, "www.example.com"), made.both())
		<-time.After(acmeRetry)
		synctest.Wait()
		if e := <-reported; e.Kind != EventLoaded || !e.New.Equal(made.leaf) {
			t.Errorf("reported: %v", e)
		}
		if info := a.infos()[0]; info.Err != nil || !info.Cert.Equal(made.leaf) {
			t.Errorf("in use: %+v", info)
		}
		<-time.After(time.Hour)
		stop()
		running.Wait()
		if len(wire.requests) != 1 || len(reported) != 0 {
			t.Errorf("%d requests, %d events", len(wire.requests), len(reported))
		}
	})
}

// A request for another attempt takes effect as soon as autocert would make one.
func TestACMEPauseIsCutShort(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rest       time.Duration
		requests   []time.Duration // the times of the requests
		want       time.Duration
		closedThen bool
	}{
		{"no requests", acmeMinRetry, nil, 10 * time.Minute, false},
		{"during the rest", acmeMinRetry, []time.Duration{10 * time.Second}, acmeMinRetry, false},
		{"during the rest, twice", acmeMinRetry, []time.Duration{10 * time.Second, 20 * time.Second}, acmeMinRetry, false},
		{"after the rest", acmeMinRetry, []time.Duration{2 * time.Minute}, 2 * time.Minute, false},
		{"without a rest", 0, []time.Duration{time.Second}, time.Second, false},
		{"closed", acmeMinRetry, nil, 3 * time.Minute, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			alive, stop := context.WithCancel(t.Context())
			defer stop()
			if tt.closedThen {
				time.AfterFunc(tt.want, stop)
			}
			h := &acmeHost{retry: make(chan struct{}, 1)}
			a := &acmeSource{alive: alive, hosts: []*acmeHost{h}}
			for _, at := range tt.requests {
				time.AfterFunc(at, a.retryAll)
			}
			began := time.Now()
			proceed := a.pause(h, 10*time.Minute, tt.rest)
			if took := time.Since(began); took != tt.want || proceed == tt.closedThen {
				t.Errorf("%s: paused for %v, %v; want %v", tt.name, took, proceed, tt.want)
			}
		})
	}
}

// A failed attempt is reported with its own reason, rather than that of an earlier attempt.
func TestACMEStaleReasons(t *testing.T) {
	const host, kind = "www.example.com", "urn:ietf:params:acme:error:dns"
	ca := &fakeCA{reply: failing("out of paper")}
	a, _ := newTestSource(t, ca)
	h := a.hosts[0]
	a.transport.record(host, kind, errors.New("http-01: no such name"))
	a.transport.record("", "", errors.New("something of before"))
	err := a.get(h)
	if err == nil || !strings.Contains(err.Error(), "out of paper") {
		t.Errorf("%v", err)
	}
	if len(a.transport.refused) != 0 || len(a.transport.kinds) != 0 {
		t.Errorf("%v, %v are left", a.transport.refused, a.transport.kinds)
	}
	a.transport.record("", "", errors.New("something of before"))
	a.transport.forget(host)
	if err := a.explain(host, errors.New("now")); !strings.Contains(err.Error(), ": now") {
		t.Errorf("%v", err)
	}

	// If a certificate is in use, get makes no request, so the reason for a failed renewal is kept.
	pair := newIssuer(t).issue([]string{host}).pair(t)
	a.use(h, &pair)
	a.transport.record(host, kind, errors.New("http-01: no such name"))
	if err := a.get(h); err == nil || !strings.Contains(err.Error(), "no such name") {
		t.Errorf("%v", err)
	}
}

// A problem document is recognized as the body of an error response and in an invalid authorization.
func TestRFC8555_6_7_Problems(t *testing.T) {
	const host = "www.example.com"
	const authorization = `{"status":"invalid","identifier":{"type":"dns","value":"www.example.com"},"challenges":[
		{"type":"http-01","error":{"type":"urn:ietf:params:acme:error:dns","detail":"no such name"}},
		{"type":"tls-alpn-01","error":{"type":"urn:ietf:params:acme:error:connection","detail":"refused"}},{"type":"dns-01"}]}`
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string // part of the explanation
		hint   string
	}{
		{"an authorization", 200, authorization, "http-01: no such name; tls-alpn-01: refused", "the CA must reach this server"},
		{"one that is pending", 200, strings.ReplaceAll(authorization, `"invalid"`, `"pending"`), ": now", "check the URL"},
		{"invalid, of no host", 200, `{"status":"invalid"}`, ": now", "check the URL"},
		{"a problem", 400, `{"type":"urn:ietf:params:acme:error:caa","detail":"forbidden"}`, "the CA refused: forbidden", "CAA record"},
		{"a stale nonce, which is requested again", 400, `{"type":"urn:ietf:params:acme:error:badNonce","detail":"old"}`, ": now", "check the URL"},
		{"no problem at all", 503, "<html>", "the CA answered with 503 Service Unavailable", "check the URL"},
		{"no ACME server", 404, "{}", "the response is 404 Not Found", "check the URL"},
		{"399", 399, "<html>", ": now", "check the URL"},
	} {
		ca := &fakeCA{reply: func() (*http.Response, error) {
			return &http.Response{StatusCode: tt.status, Body: io.NopCloser(strings.NewReader(tt.body))}, nil
		}}
		a, _ := newTestSource(t, ca)
		for range 2 { // a repeated problem is explained only once
			r, err := http.NewRequest(http.MethodGet, "https://ca.example/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := a.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != tt.body {
				t.Errorf("%s: passed on %q, %v", tt.name, body, err)
			}
			resp.Body.Close()
		}
		err := a.explain(host, errors.New("now"))
		if !strings.HasSuffix(err.Error(), tt.want) || !strings.HasPrefix(err.Hint, tt.hint) && !strings.Contains(err.Hint, tt.hint) {
			t.Errorf("%s: %v; %s", tt.name, err, err.Hint)
		}
	}
	for n, want := range map[int]int{399: 399, 400: 400, 401: 400} {
		if got := clip(strings.Repeat("x", n)); strings.Count(got, "x") != want || strings.HasSuffix(got, "…") != (n > want) {
			t.Errorf("%d bytes are cut to %d", n, len(got))
		}
	}
	a, _ := newTestSource(t, &fakeCA{reply: failing("now")})
	long := &acme.Error{ProblemType: "urn:ietf:params:acme:error:caa", Detail: strings.Repeat("x", 500)}
	if err := a.explain(host, long); strings.Count(err.Error(), "x") > 410 || !strings.HasSuffix(err.Error(), "…") {
		t.Errorf("%v", err)
	}
}

// Certificates are requested only for the configured hosts, regardless of how a client writes a host.
func TestACMEHosts(t *testing.T) {
	a, _ := newTestSource(t, &fakeCA{reply: failing("now")})
	for host, want := range map[string]bool{
		"www.example.com": true, "WWW.example.com.": true, "www.example.com:80": true, "example.com": false, "other.example:443": false,
	} {
		if err := a.allow(t.Context(), host); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// A certificate that cannot be stored is used, with a warning that every start requests one from the CA again.
func TestACMECacheFails(t *testing.T) {
	a, reported := newTestSource(t, &fakeCA{reply: failing("now")})
	cache := acmeCache{"", a}
	cache.DirCache = "/dev/null/no"
	made := newIssuer(t).issue([]string{"www.example.com"})
	if err := cache.Put(t.Context(), "www.example.com", made.both()); err == nil {
		t.Fatal("no error")
	}
	if e := reported.wait(t); e.Kind != EventLoaded || !e.New.Equal(made.leaf) {
		t.Errorf("reported: %v", e)
	}
	if e := reported.wait(t); e.Kind != EventFailed || !strings.Contains(e.Err.Error(), "www.example.com cannot be stored") {
		t.Errorf("reported: %v", e)
	}
	for _, key := range []string{"token+http-01", "www.example.com+rsa"} { // no failure is reported for a challenge
		_ = cache.Put(t.Context(), key, []byte("x"))
	}
	if e := reported.wait(t); !strings.Contains(e.Err.Error(), "www.example.com+rsa cannot be stored") || len(reported) != 0 {
		t.Errorf("reported: %v", e)
	}
	alive, stop := context.WithCancel(t.Context())
	stop()
	a.alive = alive
	cache.DirCache = "nowhere"
	if err := cache.Put(t.Context(), "x", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Put after Close: %v", err)
	}
	if _, err := cache.Get(t.Context(), "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get after Close: %v", err)
	}
	if _, err := os.Stat("nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// Only a few certificates are requested concurrently, so that a long list of hosts does not look like an attack to the CA.
func TestACMESlots(t *testing.T) {
	a, _ := newTestSource(t, &fakeCA{reply: failing("now")})
	for range acmeMaxConcurrent {
		a.slots <- struct{}{}
	}
	done := make(chan error, 1)
	go func() { done <- a.get(a.hosts[0]) }()
	bounded.Receive(t, a.slots)
	if err := bounded.Receive(t, done); err == nil || !strings.Contains(err.Error(), ": now") {
		t.Errorf("%v", err)
	}
	a.slots <- struct{}{} // the slot was released
	if len(a.slots) != acmeMaxConcurrent {
		t.Errorf("%d slots are in use", len(a.slots))
	}
}
