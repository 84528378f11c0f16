package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// issuer is an OpenID provider on a real port, with TLS, that counts its requests.
type issuer struct {
	*httptest.Server
	discoveries, fetches atomic.Int32

	mu   sync.Mutex
	keys []byte
	doc  map[string]any
	gate func(w http.ResponseWriter, r *http.Request) bool // if not nil, called first; true means that it has responded
}

func newIssuer(t testing.TB, keys []byte) *issuer {
	t.Helper()
	i := &issuer{keys: keys}
	mux := http.NewServeMux()
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		gate := i.gate
		i.mu.Unlock()
		if gate == nil || !gate(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.discoveries.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		json.NewEncoder(w).Encode(i.doc)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		w.Write(i.keys)
	})
	i.doc = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
	t.Cleanup(i.Close)
	return i
}

// change changes what the issuer serves.
func (i *issuer) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// down sets whether every response is a 500.
func (i *issuer) down(yes bool) {
	i.change(func() {
		i.gate = func(w http.ResponseWriter, _ *http.Request) bool {
			if yes {
				i.fetches.Add(1)
				w.WriteHeader(http.StatusInternalServerError)
			}
			return yes
		}
	})
}

// options are those of a client that trusts the issuer's certificate.
func (i *issuer) options() FetchOptions { return FetchOptions{Transport: i.Client().Transport} }

// clock is a clock that tests set.
type clock struct{ t atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.t.Load()) }
func (c *clock) advance(d time.Duration) { c.t.Add(int64(d)) }

// openID returns a JWT method that gets its keys from the issuer, with a clock for the age of keys.
func openID(t *testing.T, i *issuer, o FetchOptions) (*JWT, *RemoteKeys, *clock) {
	t.Helper()
	k, err := OIDC(i.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	k.now = c.now
	j := newJWT(t, JWTOptions{Keys: k, Audience: []string{"chat"}})
	t.Cleanup(func() { j.Close() })
	return j, k, c
}

func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// idle waits until no fetch is in progress.
func (k *RemoteKeys) idle() { k.runs.Wait() }

func TestOIDC(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, jwksOf(t, jwkOf(t, &k.rsa.PublicKey, "kid", "1", "use", "sig", "alg", "RS256")))
	j, _, clk := openID(t, i, i.options())
	if n := i.discoveries.Load(); n != 0 {
		t.Errorf("%d requests before the first token", n)
	}
	token := func(kid string, key any, c claims) string {
		alg := "RS256"
		if key == k.p256 {
			alg = "ES256"
		}
		all := claims{"iss": i.URL, "aud": "chat"}
		for name, v := range c {
			all[name] = v
		}
		return signed(t, alg, key, kid, all)
	}
	old, foreign := token("1", k.rsa, nil), token("1", k.rsa, claims{"iss": "https://id.example.com"})
	for range 3 {
		if id, err := j.Verify(t.Context(), old); err != nil || id.Subject != "alice" {
			t.Fatalf("%v, %v", id, err)
		}
	}
	if _, err := j.Verify(t.Context(), foreign); statusOf(err) != 401 {
		t.Errorf("another issuer: %v", err)
	}
	if d, f := i.discoveries.Load(), i.fetches.Load(); d != 1 || f != 1 {
		t.Fatalf("%d discoveries and %d fetches for one key", d, f)
	}

	// Rotation: the new key is fetched for the first token that names it, if the last fetch was at least a minute ago.
	i.change(func() { i.keys = jwksOf(t, jwkOf(t, &k.p256.PublicKey, "kid", "2")) })
	fresh := token("2", k.p256, nil)
	if _, err := j.Verify(t.Context(), fresh); statusOf(err) != 401 || i.fetches.Load() != 1 {
		t.Errorf("within the interval: %v after %d fetches", err, i.fetches.Load())
	}
	clk.advance(time.Minute)
	if id, err := j.Verify(t.Context(), fresh); err != nil || id.Subject != "alice" {
		t.Errorf("the new key: %v, %v", id, err)
	}
	if _, err := j.Verify(t.Context(), old); statusOf(err) != 401 {
		t.Errorf("a key that was withdrawn: %v", err)
	}
	if f := i.fetches.Load(); f != 2 {
		t.Errorf("%d fetches", f)
	}
}

// Any number of tokens with unknown key IDs cause a single fetch.
func TestOIDCUnknownKeyIDs(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, jwksOf(t, jwkOf(t, k.ed.Public(), "kid", "1")))
	j, _, clk := openID(t, i, i.options())
	if _, err := j.Verify(t.Context(), signed(t, "EdDSA", k.ed, "1", claims{"iss": i.URL, "aud": "chat"})); err != nil {
		t.Fatal(err)
	}
	clk.advance(time.Minute)
	before := i.fetches.Load()
	var all sync.WaitGroup
	for n := range 50 {
		bad := signed(t, "RS256", k.other, fmt.Sprint("bad", n), claims{"iss": i.URL, "aud": "chat"})
		all.Go(func() {
			if _, err := j.Verify(t.Context(), bad); statusOf(err) != 401 {
				t.Errorf("bad%d: %v", n, err)
			}
		})
	}
	all.Wait()
	if more := i.fetches.Load() - before; more != 1 {
		t.Errorf("50 bad tokens cost %d fetches", more)
	}
}

// While the issuer is down, known keys are still used. If there are none, clients get a 503, and the issuer gets no requests for a
// while.
func TestOIDCOutage(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, jwksOf(t, jwkOf(t, k.ed.Public(), "kid", "1")))
	i.down(true)
	o := i.options()
	var mu sync.Mutex
	var told []string
	o.OnError = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err.Error())
	}
	j, keys, clk := openID(t, i, o)
	token := signed(t, "EdDSA", k.ed, "1", claims{"iss": i.URL, "aud": "chat"})
	other := signed(t, "EdDSA", k.ed, "2", claims{"iss": i.URL, "aud": "chat"})
	want := func(step, token string, status int, asked int32) {
		t.Helper()
		_, err := j.Verify(t.Context(), token)
		keys.idle()
		if statusOf(err) != status || i.fetches.Load() != asked {
			t.Errorf("%s: %v, want %d; %d requests, want %d", step, err, status, i.fetches.Load(), asked)
		}
		if e, ok := errors.AsType[*Error](err); ok && status == 503 && e.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", step)
		}
	}
	want("down from the start", token, 503, 1)
	for range 10 {
		want("at once again", token, 503, 1)
	}
	clk.advance(time.Second)
	want("a second later", token, 503, 2)
	clk.advance(time.Second)
	want("the pause doubles", token, 503, 2)
	clk.advance(time.Second)
	want("two seconds later", token, 503, 3)
	clk.advance(time.Hour)
	i.down(false)
	want("up", token, 200, 4)
	i.down(true)
	clk.advance(defaultMaxAge)
	want("aged: used, and fetched in the background", token, 200, 5)
	clk.advance(12 * time.Hour)
	want("stale: fetched in the background, used all the same", token, 200, 6)
	clk.advance(2 * time.Minute)
	want("a key that may be new", other, 503, 7)
	clk.advance(12 * time.Hour)
	want("too stale", token, 503, 8)
	clk.advance(time.Hour)
	i.down(false)
	want("up again", token, 200, 9)
	want("and the other key is known to be none", other, 401, 9)
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 7 || !strings.Contains(told[0], "answered with 500") {
		t.Errorf("reported %q", told)
	}
}

// Old keys are fetched while tokens are still verified; if no token was verified for a long time, the keys are fetched first.
func TestOIDCAge(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, jwksOf(t, jwkOf(t, k.ed.Public(), "kid", "1")))
	j, keys, clk := openID(t, i, i.options())
	token := signed(t, "EdDSA", k.ed, "1", claims{"iss": i.URL, "aud": "chat"})
	if err := keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.change(func() { i.keys = jwksOf(t, jwkOf(t, k.ed.Public(), "kid", "9")) }) // key 1 is withdrawn
	clk.advance(defaultMaxAge - 1)
	if _, err := j.Verify(t.Context(), token); err != nil || i.fetches.Load() != 1 {
		t.Errorf("young: %v, %d fetches", err, i.fetches.Load())
	}
	clk.advance(2*defaultMaxAge + 1)
	if _, err := j.Verify(t.Context(), token); statusOf(err) != 401 || i.fetches.Load() != 2 {
		t.Errorf("old: %v, %d fetches", err, i.fetches.Load())
	}
}

// A handshake does not wait for a fetch that replaces slightly old keys.
func TestOIDCUsesAgedKeys(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, jwksOf(t, jwkOf(t, k.ed.Public(), "kid", "1")))
	j, keys, clk := openID(t, i, i.options())
	if err := keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := signed(t, "EdDSA", k.ed, "1", claims{"iss": i.URL, "aud": "chat"})
	gone, cancel := context.WithCancel(t.Context())
	cancel() // a handshake that waits for a fetch fails
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{defaultMaxAge, 200}, {2*defaultMaxAge - 1, 200}, {2 * defaultMaxAge, 503}} {
		clk.advance(tt.after)
		verified := make(chan struct{})
		i.change(func() { i.gate = func(http.ResponseWriter, *http.Request) bool { <-verified; return false } })
		_, err := j.Verify(gone, token)
		close(verified)
		if statusOf(err) != tt.want {
			t.Errorf("after %v: %v, want %d", tt.after, err, tt.want)
		}
		keys.idle() // the keys have been fetched, so their age is 0 again
	}
}

// An issuer that does not respond delays a handshake for a limited time, and never gets more than one request.
func TestOIDCSlow(t *testing.T) {
	k := testKeys()
	slow := func() (i *issuer, asked chan struct{}, token string) {
		i, asked = newIssuer(t, nil), make(chan struct{}, 100)
		i.gate = func(_ http.ResponseWriter, r *http.Request) bool {
			asked <- struct{}{}
			<-r.Context().Done() // until the client gives up
			return true
		}
		return i, asked, signed(t, "EdDSA", k.ed, "1", claims{"iss": i.URL, "aud": "chat"})
	}
	i, _, token := slow()
	o := i.options()
	o.Timeout = time.Millisecond
	j, _, _ := openID(t, i, o)
	if _, err := j.Verify(t.Context(), token); statusOf(err) != 503 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an issuer that does not respond: %v", err)
	}

	i, asked, token := slow()
	o = i.options()
	o.Timeout = time.Hour
	j, keys, _ := openID(t, i, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Verify(ctx, token); statusOf(err) != 503 || !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has disconnected: %v", err)
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := j.Verify(t.Context(), token); statusOf(err) != 503 {
				t.Errorf("%v", err)
			}
		})
	}
	bounded.Receive(t, asked)
	keys.Close() // cancels the fetch, and thereby ends all waits
	all.Wait()
	if n := len(asked); n != 0 {
		t.Errorf("%d additional requests", n)
	}
	if _, err := j.Verify(t.Context(), token); statusOf(err) != 503 {
		t.Errorf("closed: %v", err)
	}
}

func TestOIDCDiscovery(t *testing.T) {
	i := newIssuer(t, jwksOf(t, jwkOf(t, testKeys().ed.Public())))
	for _, tt := range []struct {
		name   string
		change func()
		want   string
	}{
		{"another issuer (Discovery §4.3)", func() { i.doc["issuer"] = i.URL + "/" }, "names another issuer"},
		{"keys by http", func() { i.doc["jwks_uri"] = "http://id.example.com/keys" }, "use https"},
		{"keys in a file", func() { i.doc["jwks_uri"] = "file:///etc/passwd" }, "jwks_uri"},
		{"no keys", func() { delete(i.doc, "jwks_uri") }, "jwks_uri"},
		{"keys elsewhere", func() { i.doc["jwks_uri"] = i.URL + "/none" }, "answered with 404"},
		{"no JSON", func() {
			i.gate = func(w http.ResponseWriter, _ *http.Request) bool { w.Write([]byte("<html>")); return true }
		}, "not a JSON object"},
		{"endless", func() {
			i.gate = func(w http.ResponseWriter, _ *http.Request) bool {
				for range 1 << 11 {
					w.Write(make([]byte, 1<<10))
				}
				return true
			}
		}, "1 MiB"},
		{"endless redirects", func() {
			i.gate = func(w http.ResponseWriter, r *http.Request) bool { http.Redirect(w, r, "/x", 302); return true }
		}, "too many redirects"},
		{"redirected to http", func() {
			i.gate = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "http://id.example.com", 302)
				return true
			}
		}, "use https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i.change(func() {
				i.gate, i.doc = nil, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
				tt.change()
			})
			k, err := OIDC(i.URL, i.options())
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if err := k.Load(t.Context()); statusOf(err) != 503 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestRemoteKeysURLs(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://id.example.com/keys": true, "http://127.0.0.1:8080/keys": true, "http://[::1]/": true, "http://localhost/": true,
		"http://id.example.com/": false, "ftp://id.example.com/": false, "id.example.com": false, "": false, "https://": false,
		"http://localhost.example.com/": false,
	} {
		k, err := JWKS(url, FetchOptions{})
		if (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
		if err == nil {
			k.Close()
		}
		k, err = JWKS(url, FetchOptions{AllowHTTP: true})
		if want := ok || url == "http://id.example.com/" || url == "http://localhost.example.com/"; (err == nil) != want {
			t.Errorf("%q with http allowed: %v", url, err)
		}
		if err == nil {
			k.Close()
		}
	}
	for _, url := range []string{"https://id.example.com/?tenant=1", "https://id.example.com/#x", "http://id.example.com"} {
		if _, err := OIDC(url, FetchOptions{}); err == nil {
			t.Errorf("issuer %q", url)
		}
	}
}

// Neither a URL's user nor its query gets into a log.
func TestJWKSErrorsContainNoSecrets(t *testing.T) {
	k := testKeys()
	i := newIssuer(t, jwksOf(t, jwkOf(t, k.ed.Public())))
	url := strings.Replace(i.URL, "https://", "https://user:s3cret@", 1) + "/keys?token=s3cret"
	keys, err := JWKS(url, i.options())
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	if err := keys.Load(t.Context()); err != nil {
		t.Errorf("a JWK set at a URL: %v", err)
	}
	i.Server.Close()
	keys, err = JWKS(url, i.options())
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	if err := keys.Load(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "/keys") {
		t.Errorf("%v", err)
	}
}
