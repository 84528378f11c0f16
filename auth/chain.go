package auth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Chain tries the methods in order, until one authenticates or rejects the client. A method that returns [ErrNoCredentials],
// alone or wrapped in an [*Error], passes the request on to the next. If none authenticates the client, the answer is 401 with
// the challenges of all methods.
//
// The subjects of all methods share one namespace: "ann" of a password file is "ann" of an issuer's tokens to a revocation, and
// to rules that do not look at method. Chain issuers together only if none of them names the users of another.
//
// Put methods whose credentials a client sends on purpose (a header, a ticket) before those that a browser adds by itself (a
// cookie, a certificate). [Anonymous] goes last, if it is wanted at all. An empty Chain admits no client. The slice is not
// kept.
func Chain(methods ...Authenticator) Authenticator {
	var flat []Authenticator
	for _, m := range methods {
		if c, ok := m.(*chain); ok { // so that challenges and methods are one list
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
	var shown error // a credential that no method has known yet
	for _, m := range c.methods {
		id, err := m.Authenticate(r)
		if err == nil && shown != nil && isAnonymous(id) {
			continue // a client with a credential must learn that it is not valid
		}
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, ErrNoCredentials) {
			return nil, err
		}
		// A chain within, behind another method, says in an *Error of just that cause that there was no credential.
		if e, ok := errors.AsType[*Error](err); ok && e.Err != ErrNoCredentials && shown == nil { //nolint:errorlint // not what wraps it
			shown = err
		}
	}
	cause := ErrNoCredentials
	if shown != nil {
		cause = asError(shown, "").Err
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

// Challenge implements [Authenticator]: a list of all challenges, as RFC 9110 §11.6.1 allows in one field.
func (c *chain) Challenge() string { return strings.Join(c.challenges(), ", ") }

// Close closes every method that has a Close, such as a [JWT] that fetches keys.
func (c *chain) Close() error {
	var errs []error
	for _, m := range c.methods {
		if closer, ok := m.(interface{ Close() error }); ok {
			errs = append(errs, closer.Close())
		}
	}
	return errors.Join(errs...)
}

// Anonymous admits every client, as the subject "anonymous" of the method "anonymous". It is the last of a [Chain]: it admits
// clients without credentials, and rules decide what they may do; a client with an invalid credential is still rejected.
func Anonymous() Authenticator { return anonymous{} }

type anonymous struct{}

// anonymousIdentity is shared: an Identity is not changed.
var anonymousIdentity = &Identity{Subject: "anonymous", Method: "anonymous"}

// isAnonymous reports whether id is one that any client gets.
func isAnonymous(id *Identity) bool { return id != nil && id.Method == anonymousIdentity.Method }

// Authenticate implements [Authenticator].
func (anonymous) Authenticate(*http.Request) (*Identity, error) { return anonymousIdentity, nil }

// Challenge implements [Authenticator]: there is nothing to ask for.
func (anonymous) Challenge() string { return "" }
