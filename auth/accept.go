package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/handfast/handfast/websocket"
)

// CodeExpired is the close code of a connection whose identity has expired: 4401, after HTTP's 401. The client comes back
// with a new credential.
const CodeExpired websocket.Code = 4401

// Guard stands before an endpoint: it lets in who is known and may connect. It is not changed while it is in use, and may be
// used from many goroutines at once.
type Guard struct {
	// Authenticator says who it is. nil lets nobody in.
	Authenticator Authenticator

	// Authorizer says whether it may connect. nil means that everybody may who is known.
	Authorizer Authorizer

	// Endpoint is the endpoint's name for the Authorizer. It may be empty.
	Endpoint string

	// Live closes connections that Accept has opened when their credentials are revoked. nil: they stay. It refuses
	// nobody at the door: for that the Authenticator is one of [RefuseRevoked].
	Live *Live
}

var errNoAuthenticator = errors.New("a Guard without an Authenticator")

// Admit returns who sends a request, if it may connect. The error is an [*Error].
func (g *Guard) Admit(r *http.Request) (*Identity, error) {
	if g.Authenticator == nil {
		return nil, Forbidden(errNoAuthenticator)
	}
	id, err := identify(r, g.Authenticator)
	if err != nil {
		return nil, err
	}
	if g.Authorizer == nil {
		return id, nil
	}
	if err := g.Authorizer.Authorize(r.Context(), id, Action{Do: "connect", Endpoint: g.Endpoint}); err != nil {
		return nil, asError(err, "")
	}
	return id, nil
}

var errNobody = errors.New("an Authenticator that returns no error, and nobody either")
var errEnded = errors.New("the credential has expired")

// identify asks a, and believes nothing that cannot be: whoever wrote a may have made a mistake. The error is an [*Error].
func identify(r *http.Request, a Authenticator) (*Identity, error) {
	id, err := a.Authenticate(r)
	switch {
	case err != nil:
		return nil, asError(err, a.Challenge())
	case id == nil || id.Subject == "":
		return nil, Forbidden(errNobody)
	case !id.Expires.IsZero() && !time.Now().Before(id.Expires):
		return nil, Unauthorized(errEnded, a.Challenge())
	}
	return id, nil
}

// Check returns a function for [websocket.AcceptOptions.Check], which is asked when everything else about the handshake is
// in order, the origin included. found is told of everybody who is let in, before the 101 is sent; it may be nil. The
// function's error picks the reply, and has the [*Error] in it, for the log.
func (g *Guard) Check(found func(*http.Request, *Identity)) func(*http.Request) error {
	return func(r *http.Request) error {
		id, err := g.Admit(r)
		if err != nil {
			return Refusal(err)
		}
		if found != nil {
			found(r, id)
		}
		return nil
	}
}

// Accept is [websocket.Accept] behind the Guard; it also says who the client is. opts may be nil; its Check, if it has one,
// is asked before the Guard. When the identity expires, the connection is closed with [CodeExpired].
//
// When the client is not let in, the reply has been written. The error is then a [*websocket.HandshakeError], in which
// errors.As finds the [*Error], if it was the Guard that refused.
func (g *Guard) Accept(w http.ResponseWriter, r *http.Request, opts *websocket.AcceptOptions) (*websocket.Conn, *Identity, error) {
	var o websocket.AcceptOptions
	if opts != nil {
		o = *opts
	}
	var id *Identity
	first, own := o.Check, g.Check(func(_ *http.Request, found *Identity) { id = found })
	o.Check = func(r *http.Request) error {
		if first != nil {
			if err := first(r); err != nil {
				return err
			}
		}
		return own(r)
	}
	c, err := websocket.Accept(w, r, &o)
	if err != nil {
		return nil, nil, err
	}
	if !id.Expires.IsZero() {
		t := time.AfterFunc(time.Until(id.Expires), func() {
			c.Close(CodeExpired, "the credential has expired") //nolint:errcheck // the Conn tells its reader
		})
		context.AfterFunc(c.Context(), func() { t.Stop() })
	}
	if g.Live != nil {
		g.Live.add(r.Context(), c, id)
	}
	return c, id, nil
}

// Refusal returns an error for [websocket.AcceptOptions.Check] that picks the reply which err, an [*Error], asks for. Its
// text is that of err, for the log; errors.As finds err and a [*websocket.Reject] in it. Any other error keeps the client out
// with 403.
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

// NewContext returns a context that tells who the client is, for handlers behind one that has let it in.
func NewContext(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// FromContext returns who the client is, nil when nobody has said so.
func FromContext(ctx context.Context) *Identity {
	id, _ := ctx.Value(identityKey{}).(*Identity)
	return id
}

type identityKey struct{}
