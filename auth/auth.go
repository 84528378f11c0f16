package auth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Identity identifies a client according to a credential. It must not be changed once it has been returned, because many goroutines
// read it.
type Identity struct {
	// Subject is the user or the service; never empty.
	Subject string

	// Method is the authentication method: "jwt", "apikey", "basic", "ticket", "certificate", "forward" or "anonymous".
	Method string

	// Claims are the other contents of the credential, which rules see as claims. The map may be nil.
	Claims map[string]any

	// ID identifies this one credential, for example by a token's jti, so that it can be revoked separately. ID may be empty.
	ID string

	// Issued and Expires are the times of the credential. The zero time means that the credential does not contain it. A connection
	// is closed when Expires is reached.
	Issued, Expires time.Time

	// Again asks the authenticating service, while a connection is open, whether the identity is still valid. nil means that the
	// identity is not checked again. A [Guard] does not use Again.
	Again *Again
}

// Again checks whether an identity is still valid. Its fields must not be modified; Ask may be called concurrently.
type Again struct {
	// Every is the maximum time between two calls of Ask. Grace is how long a session may continue while the service is unavailable. Every
	// must be positive; with a Grace of 0 the first failure ends the session.
	Every, Grace time.Duration

	// Ask returns the current identity. The errors are those of [Authenticator.Authenticate]. Ask keeps the credential in
	// memory.
	Ask func(ctx context.Context) (*Identity, error)
}

// ErrNoCredentials indicates that a request has no credential for an Authenticator. A [Chain] then tries the next Authenticator.
var ErrNoCredentials = errors.New("auth: no credentials")

// Authenticator authenticates requests. It may be called by multiple goroutines concurrently.
//
// The error is ErrNoCredentials, or an [*Error] that rejects the client. An *Error whose cause is ErrNoCredentials means that there
// is a credential, but of a kind that another method may accept (see [Chain]).
//
// An implementation that uses goroutines or connections must also have a method Close() error, to be called when no request uses it
// any more.
type Authenticator interface {
	// Authenticate returns the identity of the sender of r. It neither reads the body nor modifies r. It returns when r's context
	// is done, or after its own time limit.
	Authenticate(r *http.Request) (*Identity, error)

	// Challenge returns the value of the WWW-Authenticate field for this method (RFC 9110 §11.6.1), or "" if HTTP has none.
	Challenge() string
}

// Error is the rejection of a client. Its text is for the server's log, and contains no credential. The client gets only Reason,
// and does not learn which part of a credential was wrong.
type Error struct {
	Status int         // 401, 403, 429 or 503
	Header http.Header // for the reply: WWW-Authenticate, Retry-After; may be nil
	Reason string      // a sentence for the client
	Err    error       // the cause
}

// Error returns the cause, for the log.
func (e *Error) Error() string {
	if e.Err == nil {
		return "auth: " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
	}
	return "auth: " + strings.TrimPrefix(e.Err.Error(), "auth: ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Action is an action that an identity requests.
type Action struct {
	Do       string // "connect", or an action on a channel: "subscribe", "publish", "presence", "history"
	Endpoint string // the endpoint's name
	Channel  string // "" for connect
}
