package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
)

// Target serves the clients that an endpoint admits. Its methods may be called from any goroutine.
//
// A Target is created when the server starts, or when a reload adds an endpoint with another name, path or target. It outlives
// other reloads. Close is called once, when the configuration no longer contains it and its last client has left.
type Target interface {
	// Open is called for a client that the endpoint would admit, before the 101 response: it chooses a subprotocol, connects to an
	// upstream server, or rejects the client. A [*websocket.Reject] in the error determines the reply; any other error is answered
	// with 503 and logged. ctx is done when the client has disconnected, or at a timeout.
	Open(ctx context.Context, r *Request) (*Opened, error)

	// Close releases the resources of the Target.
	Close() error
}

// Pages is implemented by Targets that also respond to plain HTTP requests, such as an API. The limits, the origin check and the audit log
// of the endpoint apply to these requests, but the requests are not authenticated: the Target must authenticate them.
type Pages interface {
	// Register adds handlers to mux. It is called once for every configuration with the Target. If several pages have the same path, a page
	// of the server itself takes precedence, followed by the page of the endpoint that is first in the configuration. Requests must be
	// answered within 30 seconds.
	Register(mux *http.ServeMux)
}

// preflighter is implemented by Pages and Requests that may be used by pages of other origins, namely those that the endpoint admits.
// Preflight lists, in the response to a browser's preflight, the methods and headers that such a page may send; the endpoint adds whether
// the origin is admitted. The client has not been authenticated.
type preflighter interface {
	Preflight(w http.ResponseWriter)
}

// Requests is implemented by Targets that respond to plain HTTP requests at the path of their endpoint. The checks are those of a
// handshake: limits, origin, authentication, and the rules for connect. A request counts as a connection while it is running.
type Requests interface {
	// ServeRequest responds to a request of an admitted client. It must limit its own time: the request is cut after 30 seconds
	// unless its deadlines are extended by [http.ResponseController], and in any case when the server stops. Expires, Renew,
	// Received and Sent of r are not set.
	ServeRequest(w http.ResponseWriter, r *Request)
}

// Request is the opening handshake, or another request, of a client.
type Request struct {
	*http.Request // contains headers and path values; must not be used after Open has returned

	Client   netip.Addr     // the client's address, behind all proxies
	Identity *auth.Identity // the client's identity

	// Allow checks whether the rules of the endpoint allow the client an action, such as "subscribe", on a channel. The error is an
	// [*auth.Error] whose cause names the rule that denies the action. Allow may be called as long as the client is connected.
	Allow func(action, channel string) error

	// Expires is the time when the connection will be closed because the credential expires; zero means never.
	Expires time.Time

	// Renew replaces the credential of an open connection with another token of the same user, and returns its identity, which Allow uses
	// from then on. The endpoint's methods receive the token as a bearer token. Renew may be called as long as the client is connected.
	Renew func(ctx context.Context, token string) (*auth.Identity, error)

	// CheckRevoked returns nil if a credential that the client has sent to the target itself is not revoked. See
	// [auth.CheckRevoked].
	CheckRevoked func(ctx context.Context, id *auth.Identity) error

	// Become sets the identity of a client that has authenticated to the target itself, with a credential that CheckRevoked accepts. From
	// then on Allow uses that identity, and a client that was anonymous belongs to this user for limits, operators and revocations. The
	// error is an [*auth.Error] of the rules if the identity may not connect, [auth.ErrRevoked] if it was revoked, or a [*websocket.Reject]
	// if the user has too many connections.
	Become func(id *auth.Identity) error

	// Received and Sent count one message with the given number of bytes, for the metrics and the operator. They are meant for Serve and
	// Tunnel: messages of a Sender and a Receiver are counted automatically. They may be called as long as the client is connected.
	// A non-nil error of Received means that the client has exceeded a limit: its connection is being closed, and the message must
	// be discarded. The error has the code and reason, as a [*websocket.CloseError].
	Received func(bytes int64) error
	Sent     func(bytes int64)
}

// Opened specifies how the connection of an admitted client is served. Exactly one of Open, Serve and Tunnel must be set. A panic
// in any of them, or in the Receiver, ends only this connection.
type Opened struct {
	// Open serves the connection with events, on the event loop if the connection allows that.
	Open func(websocket.Sender) websocket.Receiver

	// Serve serves the connection on its own goroutine, until it returns. Then the connection is closed with 1000, or with 1011 if Serve
	// has returned an error, unless it has already ended. ctx is done when the connection has ended.
	Serve func(ctx context.Context, c *websocket.Conn) error

	// Tunnel takes over the connection after the 101 response and forwards its bytes. early contains the bytes that the client has already
	// sent. Tunnel must return soon, with a handle for ending the tunnel. The handle's Shut must end the tunnel within seconds, whether or
	// not the client replies. An error ends the connection. The target must call done once, when both sides are closed, with a
	// [*websocket.CloseError] if the close code is known.
	Tunnel func(client net.Conn, early []byte, done func(error)) (auth.Handle, error)

	// QueueFull determines the treatment of messages for which the queue of a slow client has no room. It applies to Open and
	// Serve.
	QueueFull websocket.QueuePolicy

	// HalfClose applies to Serve: see [websocket.ConnOptions].
	HalfClose bool

	// DrainCode returns the close code for a drain of the server, given the number of connections that are left. If nil, the
	// configured code is used.
	DrainCode func(left int) websocket.Code

	// Server returns the server that the connection is currently forwarded to, for operators. nil means none.
	Server func() string

	// Subprotocol is the subprotocol in the 101 response; the client must have offered it. "" means that the configuration of the
	// endpoint chooses.
	Subprotocol string

	// Header is added to the 101 response, for example cookies of an upstream server. May be nil.
	Header http.Header

	// Extensions is the Sec-WebSocket-Extensions header of the 101 response, as an upstream server has sent it. It applies to
	// Tunnel only.
	Extensions string

	// Abandon is called instead of Open, Serve and Tunnel if the client has disconnected or was rejected before the 101 response:
	// it releases the resources that Target.Open has created. May be nil.
	Abandon func()
}
