package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/handfast/handfast/websocket"
)

// Guard admits known clients to an endpoint if the rules allow it. It must not be changed or copied while it is in use, and its
// methods may be called concurrently.
type Guard struct {
	// Authenticator identifies clients. If nil, no client is admitted.
	Authenticator Authenticator

	// Rules decide which clients may connect. If nil, every known client may.
	Rules *Rules

	// Endpoint is the endpoint's name for the Rules. It may be empty.
	Endpoint string

	// Live closes the connections whose credentials expire or are revoked. A Live with a Store also rejects credentials that were
	// revoked before. If nil, connections are only closed on expiry.
	Live *Live

	defaultLive Live // used if Live is nil
}

var errNoAuthenticator = errors.New("the Guard has no Authenticator")

// Admit returns the identity of the sender of a request, if the sender may connect. The error is the result of [Refusal]:
// [websocket.AcceptOptions.Check] can return it unchanged.
func (g *Guard) Admit(r *http.Request) (*Identity, error) {
	id, err := g.admit(r)
	if err != nil {
		return nil, Refusal(err)
	}
	return id, nil
}

func (g *Guard) admit(r *http.Request) (*Identity, error) {
	if g.Authenticator == nil {
		return nil, Forbidden(errNoAuthenticator)
	}
	id, err := identify(r, g.Authenticator)
	if err != nil {
		return nil, err
	}
	if g.Live != nil && g.Live.Store != nil {
		if err := CheckRevoked(r.Context(), g.Live.Store, id, g.Authenticator.Challenge()); err != nil {
			return nil, err
		}
	}
	if g.Rules == nil {
		return id, nil
	}
	_, err = g.Rules.Authorize(id, Action{Do: "connect", Endpoint: g.Endpoint})
	return id, err
}

var errNoIdentity = errors.New("an Authenticator returned neither an identity nor an error")
var errEnded = errors.New("the credential has expired")

// identify calls a and validates the result, because a may be an application's own Authenticator with a bug. The error is an
// [*Error].
func identify(r *http.Request, a Authenticator) (*Identity, error) {
	id, err := a.Authenticate(r)
	switch {
	case err != nil:
		return nil, asError(err, a.Challenge())
	case id == nil || id.Subject == "":
		return nil, Forbidden(errNoIdentity)
	case !id.Expires.IsZero() && !time.Now().Before(id.Expires):
		return nil, Unauthorized(errEnded, a.Challenge())
	}
	return id, nil
}

// Accept is [websocket.Accept] for admitted clients only, and also returns the client's identity. opts may be nil; opts.Check, if
// set, is called before the Guard. When the identity expires or is revoked, the connection is closed with [CodeExpired].
//
// If the client is not admitted, Accept writes the reply and returns a [*websocket.HandshakeError]. If the Guard rejected the
// client, that error wraps the Guard's [*Error].
func (g *Guard) Accept(w http.ResponseWriter, r *http.Request, opts *websocket.AcceptOptions) (*websocket.Conn, *Identity, error) {
	var o websocket.AcceptOptions
	if opts != nil {
		o = *opts
	}
	live := g.Live
	if live == nil {
		live = &g.defaultLive
	}
	var id *Identity
	var session *Session
	first := o.Check
	o.Check = func(r *http.Request) (err error) {
		if first != nil {
			if err := first(r); err != nil {
				return err
			}
		}
		if id, err = g.Admit(r); err != nil {
			return err
		}
		s := &Session{Identity: Identity{Subject: id.Subject, ID: id.ID, Issued: id.Issued, Expires: id.Expires}}
		if err := live.Admit(s); err != nil {
			return Refusal(Unauthorized(err, g.Authenticator.Challenge()))
		}
		session = s
		return nil
	}
	c, err := websocket.Accept(w, r, &o)
	if err != nil {
		if session != nil {
			session.End()
		}
		return nil, nil, err
	}
	session.Open(c)
	context.AfterFunc(c.Context(), session.End)
	return c, id, nil
}

// Refusal returns an error for [websocket.AcceptOptions.Check] that rejects the client with the reply of err, usually an [*Error];
// for any other err the reply is 403. The result has the text of err, for the log, and wraps err and a [*websocket.Reject].
func Refusal(err error) error {
	e := asError(err, "")
	return &refusal{err: e, reject: &websocket.Reject{Status: e.Status, Header: replyHeader(e), Reason: e.Reason}}
}

type refusal struct {
	err    *Error
	reject *websocket.Reject
}

func (r *refusal) Error() string   { return r.err.Error() }
func (r *refusal) Unwrap() []error { return []error{r.err, r.reject} }
