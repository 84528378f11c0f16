package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A third-party Authenticator may have bugs: a nil identity, an expired one and one without a name are rejected.
func TestGuardDistrustsIdentities(t *testing.T) {
	rules, err := NewRules(Rule{Effect: Allow, If: "true"})
	if err != nil {
		t.Fatal(err)
	}
	store := NewMemoryStore(MemoryStoreOptions{})
	for _, tt := range []struct {
		name   string
		id     *Identity
		status int
	}{
		{"no identity", nil, 403},
		{"no subject", &Identity{Method: "own"}, 403},
		{"expired", &Identity{Subject: "ann", Expires: time.Now().Add(-time.Second)}, 401},
	} {
		for _, a := range []Authenticator{stubAuthenticator{id: tt.id}, Chain(stubAuthenticator{id: tt.id}), RefuseRevoked(stubAuthenticator{id: tt.id}, store)} {
			for _, g := range []*Guard{{Authenticator: a}, {Authenticator: a, Rules: rules}} {
				id, err := g.Admit(httptest.NewRequest("GET", "/", nil))
				if e, ok := errors.AsType[*Error](err); !ok || e.Status != tt.status {
					t.Errorf("%s, %T: %v, %v, want %d", tt.name, a, id, err, tt.status)
				}
			}
		}
	}
}

// A nested chain that finds no credential passes the request on to the next method, at any depth of nesting. A chain that finds a
// credential does not.
func TestChainWrappedInChain(t *testing.T) {
	store := NewMemoryStore(MemoryStoreOptions{})
	none := stubAuthenticator{err: ErrNoCredentials, challenge: "Basic"}
	c := Chain(RefuseRevoked(Chain(none), store), Anonymous())
	if id, err := c.Authenticate(httptest.NewRequest("GET", "/", nil)); err != nil || id != anonymousIdentity {
		t.Errorf("no credential: %v, %v, want anonymous", id, err)
	}
	for _, last := range []Authenticator{Anonymous(), RefuseRevoked(Anonymous(), store), RefuseRevoked(Chain(Anonymous()), store)} {
		c = Chain(RefuseRevoked(Chain(stubAuthenticator{err: foreign("another issuer")}, none), store), last)
		if id, err := c.Authenticate(httptest.NewRequest("GET", "/", nil)); statusOf(err) != 401 {
			t.Errorf("another's token, then %T: %v, %v, want 401", last, id, err)
		}
	}
}

// Two different numbers in claims must stay different with every method: as float64, two long IDs would be equal.
func TestClaimsKeepWholeNumbers(t *testing.T) {
	const id = int64(9007199254740993) // 2^53+1, which float64 cannot represent
	dir := t.TempDir()
	want := func(way string, got *Identity, err error) {
		t.Helper()
		if err != nil || got.Claims["org"] != plain(json.Number(fmt.Sprint(id))) || fmt.Sprint(got.Claims["org"]) != fmt.Sprint(id) {
			t.Errorf("%s: %v, %v, want %d", way, got, err, id)
		}
	}
	ann := &Identity{Subject: "ann", Method: "jwt", Claims: map[string]any{"org": id}}
	tickets := newTickets(t, TicketOptions{})
	ticket, err := tickets.Issue(t.Context(), ann, TicketBinding{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tickets.For("").Authenticate(withTicket(ticket, ""))
	want("ticket", got, err)

	b := newBasic(t, BasicOptions{}, fmt.Sprintf("ann:%s {\"org\":%d}\n", cheapHash(t, "x"), id))
	got, err = b.Authenticate(withPassword("ann", "x"))
	want("password file", got, err)

	key, entry, err := NewAPIKey("a")
	if err != nil {
		t.Fatal(err)
	}
	entry.Claims = map[string]any{"org": json.Number(fmt.Sprint(id))}
	file := filepath.Join(dir, "keys")
	if err := os.WriteFile(file, []byte(entry.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := NewAPIKeys(APIKeyOptions{File: file})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Api-Key", key)
	got, err = keys.Authenticate(r)
	want("file of API keys", got, err)

	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"subject":"ann","claims":{"org":%d}}`, id)
	}))
	defer service.Close()
	f, err := NewForward(ForwardOptions{URL: service.URL, Always: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err = f.Authenticate(httptest.NewRequest("GET", "/", nil))
	want("forward auth", got, err)
}
