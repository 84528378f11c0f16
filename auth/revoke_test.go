package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// identityStub is an Authenticator that always returns the same result.
type identityStub struct {
	id     *Identity
	err    error
	closed *int
}

func (f identityStub) Authenticate(*http.Request) (*Identity, error) { return f.id, f.err }
func (f identityStub) Challenge() string                             { return `Fixed realm="x"` }
func (f identityStub) Close() error {
	*f.closed++
	return nil
}

func TestRefuseRevoked(t *testing.T) {
	store := NewMemoryStore(MemoryStoreOptions{})
	now := time.Now()
	if err := store.Revoke(t.Context(), Revocation{Subject: "ann", At: now}); err != nil {
		t.Fatal(err)
	}
	ann := &Identity{Subject: "ann", Issued: now.Add(-time.Minute)}
	fresh := &Identity{Subject: "ann", Issued: now.Add(time.Minute)}
	for _, tt := range []struct {
		name   string
		next   identityStub
		store  Store
		status int // 0 means admitted
	}{
		{"issued before", identityStub{id: ann}, store, 401},
		{"issued later", identityStub{id: fresh}, store, 0},
		{"another", identityStub{id: &Identity{Subject: "bob"}}, store, 0},
		{"anonymous", identityStub{id: anonymousIdentity}, brokenStore{}, 0},
		{"the store is down", identityStub{id: fresh}, brokenStore{}, 503},
		{"not known in the first place", identityStub{err: Forbidden(errBroken)}, brokenStore{}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := RefuseRevoked(tt.next, tt.store).Authenticate(httptest.NewRequest("GET", "/", nil))
			if tt.status != 0 {
				wantRefusal(t, err, tt.status, `Fixed realm="x"`)
			} else if err != nil || id != tt.next.id {
				t.Errorf("Authenticate = %v, %v", id, err)
			}
		})
	}
	closed := 0
	a := RefuseRevoked(identityStub{err: ErrNoCredentials, closed: &closed}, store)
	if _, err := a.Authenticate(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("no credentials: %v", err)
	}
	if err := a.(*refuseRevoked).Close(); err != nil || closed != 1 {
		t.Errorf("Close: %v, closed %d times", err, closed)
	}
}

// post calls an endpoint with the key of an API user, and additional fields.
func post(t *testing.T, h http.Handler, method, body, key string, fields ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "https://auth.example/call", strings.NewReader(body))
	if key != "" {
		r.Header.Set("X-API-Key", key)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// apiUser returns an Authenticator for a single user, and the user's key.
func apiUser(t testing.TB, subject string) (*APIKeys, string) {
	t.Helper()
	key, entry, err := NewAPIKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	entry.Subject = subject
	entry.Issued = time.Now().Add(-time.Minute)
	entry.Claims = map[string]any{"roles": []any{"admin"}}
	a, err := NewAPIKeys(APIKeyOptions{Keys: []APIKey{entry}})
	if err != nil {
		t.Fatal(err)
	}
	return a, key
}

// An endpoint that acts for its caller accepts only known callers and allowed origins.
func TestCallers(t *testing.T) {
	a, key := apiUser(t, "ann")
	_, wrong := apiUser(t, "ann") // another key with the same ID
	for _, tt := range []struct {
		name, method, key string
		fields            []string
		status            int
		header            string // a field of the reply, "Name: value"
	}{
		{"no page", "POST", key, nil, 204, "Cache-Control: no-store"},
		{"same origin", "POST", key, []string{"Origin", "https://auth.example"}, 204, "Vary: Origin"},
		{"same host without TLS", "POST", key, []string{"Origin", "http://auth.example"}, 403, ""},
		{"origin that may", "POST", key, []string{"Origin", "https://app.example"}, 204, "Access-Control-Allow-Origin: https://app.example"},
		{"origin that may, with cookies", "POST", key, []string{"Origin", "https://app.example"}, 204, "Access-Control-Allow-Credentials: true"},
		{"origin that may, and reads when to come back", "POST", key, []string{"Origin", "https://app.example"}, 204, "Access-Control-Expose-Headers: Retry-After"},
		{"origin that may not", "POST", key, []string{"Origin", "https://evil.example"}, 403, "Access-Control-Allow-Origin: "},
		{"origin that contains one that may", "POST", key, []string{"Origin", "https://app.example.evil"}, 403, ""},
		{"no origin to speak of", "POST", key, []string{"Origin", "null"}, 403, ""},
		{"two origins", "POST", key, []string{"Origin", "https://app.example", "Origin", "https://app.example"}, 403, ""},
		{"preflight", "OPTIONS", "", []string{"Origin", "https://app.example", "Access-Control-Request-Method", "POST"}, 204,
			"Access-Control-Allow-Methods: POST"},
		{"preflight from elsewhere", "OPTIONS", "", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403, ""},
		{"GET", "GET", key, nil, 405, "Allow: POST"},
		{"OPTIONS without more", "OPTIONS", key, nil, 405, "Allow: POST"},
		{"no key", "POST", "", nil, 401, `WWW-Authenticate: ApiKey realm="handfast"`},
		{"wrong key", "POST", wrong, nil, 401, `WWW-Authenticate: ApiKey realm="handfast"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var failure error
			l := &Logout{Authenticator: a, Store: NewMemoryStore(MemoryStoreOptions{}), Origins: []string{"https://app.example"},
				OnError: func(_ *http.Request, err error) { failure = err }}
			resp := post(t, l, tt.method, "", tt.key, tt.fields...)
			name, value, _ := strings.Cut(tt.header, ": ")
			if resp.StatusCode != tt.status || tt.header != "" && resp.Header.Get(name) != value {
				t.Errorf("%d with %v, want %d with %s", resp.StatusCode, resp.Header, tt.status, tt.header)
			}
			if (failure != nil) != (tt.status >= 400) {
				t.Errorf("status %d, OnError got %v", resp.StatusCode, failure)
			} else if failure != nil && strings.Contains(failure.Error(), key[10:]) {
				t.Errorf("the error contains the key: %v", failure)
			}
		})
	}
}

func TestLogout(t *testing.T) {
	a, key := apiUser(t, "ann")
	store := NewMemoryStore(MemoryStoreOptions{})
	guarded := RefuseRevoked(a, store)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-API-Key", key)
	if _, err := guarded.Authenticate(r); err != nil {
		t.Fatal(err)
	}
	l := &Logout{Authenticator: guarded, Store: store}
	if resp := post(t, l, "POST", "", key); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d", resp.StatusCode)
	}
	_, err := guarded.Authenticate(r)
	wantRefusal(t, err, 401, `ApiKey realm="handfast"`, key)
	if resp := post(t, l, "POST", "", key); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a second logout with the revoked credential: %d, want 401", resp.StatusCode)
	}
	ahead := &Identity{Subject: "bob", Issued: time.Now().Add(time.Minute)}
	l = &Logout{Authenticator: identityStub{id: ahead}, Store: store}
	if resp := post(t, l, "POST", "", ""); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d", resp.StatusCode)
	}
	if revoked, err := store.Revoked(t.Context(), ahead); !revoked || err != nil {
		t.Errorf("issued by a clock that is ahead: revoked %v, %v", revoked, err)
	}
	l = &Logout{Authenticator: a, Store: brokenStore{}}
	if resp := post(t, l, "POST", "", key); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the store is down: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	l = &Logout{Authenticator: Anonymous(), Store: store}
	if resp := post(t, l, "POST", "", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("logout without a user: %d, want 401", resp.StatusCode)
	}
}
