package auth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Chain tries the methods in order, until one authenticates or rejects the client. A method that returns [ErrNoCredentials], alone
// or wrapped in an [*Error], passes the request on to the next. If none authenticates the client, the reply is 401 with the
// challenges of all methods.
//
// The subjects of all methods share one namespace: revocations, and rules that do not look at method, treat "ann" of a password
// file and "ann" of an issuer's tokens as the same. Only chain issuers that cannot name each other's users.
//
// Put methods whose credentials a client sends deliberately (a header, a ticket) before those that a browser adds automatically (a
// cookie, a certificate). [Anonymous], if used, is last. An empty Chain admits no client. Chain does not keep the slice.
func Chain(methods ...Authenticator) Authenticator {
	var flat []Authenticator
	for _, m := range methods {
		if c, ok := m.(*chain); ok { // a nested chain is flattened, so that all its methods and challenges are in one list
			flat = append(flat, c.methods...)
		} else {
			flat = append(flat, m)
		}
	}
	return &chain{methods: flat}
}

type chain struct{ methods []Authenticator }

// Authenticate implements [Authenticator].
func (c *chain) Authenticate(r *http.Request) (*Identity, error) {
	var firstErr error // the error for a credential that no method has recognized yet
	for _, m := range c.methods {
		id, err := m.Authenticate(r)
		if err == nil && firstErr != nil && isAnonymous(id) {
			continue // a client with an invalid credential is rejected rather than admitted as anonymous
		}
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, ErrNoCredentials) {
			return nil, err
		}
		// A nested chain returns an *Error with exactly this cause if there was no credential.
		if e, ok := errors.AsType[*Error](err); ok && e.Err != ErrNoCredentials && firstErr == nil { //nolint:errorlint // the cause must be ErrNoCredentials itself
			firstErr = err
		}
	}
	cause := ErrNoCredentials
	if firstErr != nil {
		cause = asError(firstErr, "").Err
	}
	return nil, Unauthorized(cause, c.challenges()...)
}

// challenges returns the challenges of all methods, each once.
func (c *chain) challenges() []string {
	var all []string
	for _, m := range c.methods {
		if s := m.Challenge(); s != "" && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// Challenge implements [Authenticator]: a list of all challenges, which RFC 9110 §11.6.1 allows in one field.
func (c *chain) Challenge() string { return strings.Join(c.challenges(), ", ") }

// Close closes every method that has a Close method, such as a [JWT] that fetches keys.
func (c *chain) Close() error {
	var errs []error
	for _, m := range c.methods {
		if closer, ok := m.(interface{ Close() error }); ok {
			errs = append(errs, closer.Close())
		}
	}
	return errors.Join(errs...)
}

// Anonymous admits every client, as the subject "anonymous" with the method "anonymous". It must be last in a [Chain]: it admits
// clients without credentials, and rules decide which actions they may perform; a client with an invalid credential is still
// rejected.
func Anonymous() Authenticator { return anonymous{} }

type anonymous struct{}

// anonymousIdentity is shared: an Identity is never changed.
var anonymousIdentity = &Identity{Subject: "anonymous", Method: "anonymous"}

// isAnonymous reports whether id is an identity from Anonymous.
func isAnonymous(id *Identity) bool { return id != nil && id.Method == anonymousIdentity.Method }

// Authenticate implements [Authenticator].
func (anonymous) Authenticate(*http.Request) (*Identity, error) { return anonymousIdentity, nil }

// Challenge implements [Authenticator]: no credential is needed.
func (anonymous) Challenge() string { return "" }
