package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// storeTimeout limits one call of a Store during a handshake.
const storeTimeout = 2 * time.Second

// ErrRevoked is the error for a revoked credential.
var ErrRevoked = errors.New("the credential is revoked")

// RefuseRevoked returns an Authenticator that calls a, and rejects credentials that store reports as revoked. While store does not
// respond, it rejects every client that a admits, with 503.
func RefuseRevoked(a Authenticator, store Store) Authenticator {
	return &refuseRevoked{next: a, store: store}
}

type refuseRevoked struct {
	next  Authenticator
	store Store
}

// Challenge implements [Authenticator].
func (a *refuseRevoked) Challenge() string { return a.next.Challenge() }

// Authenticate implements [Authenticator].
func (a *refuseRevoked) Authenticate(r *http.Request) (*Identity, error) {
	id, err := a.next.Authenticate(r)
	if err != nil || id == nil {
		return id, err
	}
	if err := CheckRevoked(r.Context(), a.store, id, a.next.Challenge()); err != nil {
		return nil, err
	}
	return id, nil
}

// CheckRevoked returns nil if store reports that the credential of id is not revoked. The error is an [*Error]: 401 for
// [ErrRevoked], with a challenge, or 503 if store does not respond. CheckRevoked is for credentials that no Authenticator from
// [RefuseRevoked] has checked.
func CheckRevoked(ctx context.Context, store Store, id *Identity, challenge string) error {
	if id == anonymousIdentity { // there is no credential to revoke
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	revoked, err := store.Revoked(ctx, id)
	switch {
	case err != nil:
		return Unavailable(time.Second, fmt.Errorf("checking revocations: %w", err))
	case revoked:
		return Unauthorized(ErrRevoked, challenge)
	}
	return nil
}

// Close closes the wrapped Authenticator, not the Store.
func (a *refuseRevoked) Close() error {
	if c, ok := a.next.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Logout is an endpoint that ends the sessions of its caller: it revokes all credentials of the caller's subject that were issued
// until now, so that every node closes the connections that use them. Its response to POST is 204. Its fields must not be changed
// while it serves.
type Logout struct {
	// Authenticator identifies the caller. It must not be nil, and should be from [RefuseRevoked], so that a revoked credential
	// cannot end newer sessions.
	Authenticator Authenticator

	// Store notifies all nodes. It must not be nil.
	Store Store

	// Origins lists additional origins whose pages may call the endpoint, such as "https://app.example.com". nil means only pages of
	// the same origin, including the scheme. Requests without an Origin field are not from a page, and are allowed.
	Origins []string

	// OnError, if not nil, is called with the reason why a call failed. The errors contain no credential.
	OnError func(r *http.Request, err error)
}

// ServeHTTP implements [http.Handler].
func (l *Logout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := servePost(w, r, l.Origins, l.Authenticator, l.OnError)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	at := time.Now()
	if id.Issued.After(at) { // the issuer's clock is ahead of ours; credentials further ahead are covered anyway
		at = earlier(id.Issued, at.Add(futureIssued))
	}
	if err := l.Store.Revoke(ctx, Revocation{Subject: id.Subject, At: at}); err != nil {
		refuseCall(w, r, Unavailable(time.Second, fmt.Errorf("revoking: %w", err)), l.OnError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
