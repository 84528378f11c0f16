package auth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// Unauthorized is the error for a client whose credentials are missing or not valid: 401, with a WWW-Authenticate field for each
// challenge that is not empty (RFC 9110 §15.5.2). cause is for the server's log and must not contain a secret; the client gets the
// same sentence for any cause.
func Unauthorized(cause error, challenges ...string) *Error {
	e := &Error{Status: http.StatusUnauthorized, Reason: "The credentials are missing or not valid.", Err: cause}
	for _, c := range challenges {
		if c == "" {
			continue
		}
		if e.Header == nil {
			e.Header = http.Header{}
		}
		e.Header.Add("WWW-Authenticate", c)
	}
	return e
}

// Forbidden is the error for a client that is known but not allowed to do what it requests: 403. cause is for the server's log.
func Forbidden(cause error) *Error {
	return &Error{Status: http.StatusForbidden, Reason: "This is not allowed.", Err: cause}
}

// TooMany is the error for a client with too many requests: 429, with Retry-After in whole seconds, at least one. cause is for the
// server's log.
func TooMany(retryAfter time.Duration, cause error) *Error {
	return &Error{Status: http.StatusTooManyRequests, Header: retryHeader(retryAfter),
		Reason: "Too many requests. Try again later.", Err: cause}
}

// Unavailable is the error for credentials that cannot be checked now, because a source of keys or a service is down: 503, with
// Retry-After in whole seconds, at least one. cause is for the server's log.
func Unavailable(retryAfter time.Duration, cause error) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Header: retryHeader(retryAfter),
		Reason: "Credentials cannot be checked at the moment. Try again later.", Err: cause}
}

func retryHeader(d time.Duration) http.Header {
	return http.Header{"Retry-After": {limit.RetryAfter(d)}}
}

// noScheme is the challenge for credentials for which HTTP has no scheme: a ticket, a certificate. Clients ignore a challenge with
// an unknown scheme.
const noScheme = `Unspecified realm="handfast"`

// replyHeader returns the header of e's reply. A 401 always has a challenge (RFC 9110 §15.5.2).
func replyHeader(e *Error) http.Header {
	if e.Status != http.StatusUnauthorized || e.Header.Get("WWW-Authenticate") != "" {
		return e.Header
	}
	h := e.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("WWW-Authenticate", noScheme)
	return h
}

// foreign is the error for a credential that another Authenticator of the same kind may accept, such as a token of another issuer.
// A Chain then tries the next method, but does not admit the client as anonymous.
func foreign(format string, args ...any) *Error {
	return Unauthorized(fmt.Errorf("%w for this method: %s", ErrNoCredentials, fmt.Sprintf(format, args...)))
}

// asError returns the *Error in err. Any other error, which violates the contract of Authenticator, rejects the client as well.
func asError(err error, challenge string) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, ErrNoCredentials) {
		return Unauthorized(err, challenge)
	}
	return Forbidden(err)
}
