package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"
)

// stubAuthenticator is a method that always returns the same result.
type stubAuthenticator struct {
	id        *Identity
	err       error
	challenge string
	calls     *int
	closed    *bool
}

func (s stubAuthenticator) Authenticate(*http.Request) (*Identity, error) {
	if s.calls != nil {
		*s.calls++
	}
	return s.id, s.err
}
func (s stubAuthenticator) Challenge() string { return s.challenge }
func (s stubAuthenticator) Close() error {
	if s.closed != nil {
		*s.closed = true
	}
	return nil
}

func TestChain(t *testing.T) {
	id := &Identity{Subject: "alice", Method: "basic"}
	none := stubAuthenticator{err: ErrNoCredentials, challenge: `Bearer realm="x"`}
	quiet := stubAuthenticator{err: ErrNoCredentials}
	knows := stubAuthenticator{id: id, challenge: `Basic realm="x"`}
	wrong := stubAuthenticator{err: Unauthorized(errors.New("wrong password")), challenge: `Basic realm="x"`}
	busy := stubAuthenticator{err: Unavailable(time.Second, errors.New("down"))}
	other := stubAuthenticator{err: foreign("another issuer"), challenge: `Bearer realm="y"`}
	for _, tt := range []struct {
		name       string
		methods    []Authenticator
		subject    string
		status     int
		challenges []string
	}{
		{"the first method that knows the credential", []Authenticator{none, quiet, knows, wrong}, "alice", 200, nil},
		{"no method knows the credential", []Authenticator{none, quiet, stubAuthenticator{err: ErrNoCredentials, challenge: "Basic"}, none}, "", 401, []string{`Bearer realm="x"`, "Basic"}},
		{"a wrong credential ends the chain", []Authenticator{none, wrong, knows}, "", 401, nil},
		{"a credential that cannot be checked ends the chain", []Authenticator{busy, knows}, "", 503, nil},
		{"another's token is left to the other", []Authenticator{other, knows}, "alice", 200, nil},
		{"another's token, and no other", []Authenticator{other, none}, "", 401, []string{`Bearer realm="y"`, `Bearer realm="x"`}},
		{"anonymous", []Authenticator{none, Anonymous()}, "anonymous", 200, nil},
		{"not with a wrong credential", []Authenticator{wrong, Anonymous()}, "", 401, nil},
		{"not with another's token", []Authenticator{other, none, Anonymous()}, "", 401, []string{`Bearer realm="y"`, `Bearer realm="x"`}},
		{"not in a chain in a chain either", []Authenticator{Chain(other, none), Chain(Anonymous())}, "", 401, []string{`Bearer realm="y"`, `Bearer realm="x"`}},
		{"nothing", nil, "", 401, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Chain(tt.methods...).Authenticate(httptest.NewRequest("GET", "/", nil))
			if statusOf(err) != tt.status || tt.subject != "" && (got == nil || got.Subject != tt.subject) {
				t.Fatalf("%v, %v", got, err)
			}
			if e, ok := errors.AsType[*Error](err); ok && !reflect.DeepEqual(e.Header.Values("WWW-Authenticate"), tt.challenges) {
				t.Errorf("challenges %q, want %q", e.Header.Values("WWW-Authenticate"), tt.challenges)
			}
		})
	}
}

func TestChainOrder(t *testing.T) {
	var first, second int
	var closed bool
	c := Chain(stubAuthenticator{id: anonymousIdentity, calls: &first, challenge: "A"}, stubAuthenticator{id: anonymousIdentity, calls: &second, challenge: "B", closed: &closed})
	if _, err := c.Authenticate(httptest.NewRequest("GET", "/", nil)); err != nil || first != 1 || second != 0 {
		t.Errorf("%v; %d and %d calls", err, first, second)
	}
	if got := c.Challenge(); got != "A, B" {
		t.Errorf("Challenge = %q", got)
	}
	if err := c.(interface{ Close() error }).Close(); err != nil || !closed {
		t.Errorf("Close: %v, %t", err, closed)
	}
}

func TestReplies(t *testing.T) {
	cause := errors.New("why")
	for _, tt := range []struct {
		err    *Error
		status int
		header http.Header
	}{
		{Unauthorized(cause, "Basic", "", "Bearer"), 401, http.Header{"Www-Authenticate": {"Basic", "Bearer"}}},
		{Unauthorized(cause), 401, nil},
		{Forbidden(cause), 403, nil},
		{TooMany(1500*time.Millisecond, cause), 429, http.Header{"Retry-After": {"2"}}},
		{Unavailable(-time.Hour, cause), 503, http.Header{"Retry-After": {"1"}}},
	} {
		if tt.err.Status != tt.status || !reflect.DeepEqual(tt.err.Header, tt.header) || tt.err.Reason == "" {
			t.Errorf("%+v", tt.err)
		}
		if tt.err.Error() != "auth: why" || !errors.Is(tt.err, cause) {
			t.Errorf("%v", tt.err)
		}
	}
	if s := (&Error{Status: 403}).Error(); s != "auth: 403 Forbidden" {
		t.Error(s)
	}
}
