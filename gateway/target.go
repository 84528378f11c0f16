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

// Target is what an endpoint does with the clients that it admits. Its methods may be called from any goroutine.
//
// A Target is made when the server starts, or when a reload brings an endpoint with another name, path or target. It
// outlives every other reload. Close is called once, when the configuration has it no more and its last client has left.
type Target interface {
	// Open is called for a client that the endpoint would admit, before the 101: it chooses a subprotocol, reaches an
	// upstream, or refuses. A [*websocket.Reject] among the errors sets the reply; any other error is answered with 503
	// and logged. ctx ends when the client has gone, or has waited too long.
	Open(ctx context.Context, r *Request) (*Opened, error)

	// Close releases what the Target holds.
	Close() error
}

// Pages is what a Target implements that answers plain HTTP requests, too, such as an API. They are bounded, checked for
// their origin and audited as the handshakes of the endpoint are. They are not authenticated: that is for the Target.
type Pages interface {
	// Register adds handlers to mux. It is called once for every configuration that has the Target. A page of the server
	// itself, or of an endpoint before this one in the configuration, wins over a page with the same path. A request must be
	// answered within 30 seconds.
	Register(mux *http.ServeMux)
}

// preflighter is implemented by Pages and Requests that pages of other origins may use, those that the endpoint admits. Preflight says
// what such a page may send, to a browser that asks; the endpoint adds whether the page may. The client has not been authenticated.
type preflighter interface {
	Preflight(w http.ResponseWriter)
}

// Requests is what a Target implements that answers the plain HTTP requests at the path of its endpoint. They pass what a handshake
// passes: limits, origin, the methods of auth, and the rule for connect. A request that runs counts as a connection.
type Requests interface {
	// ServeRequest answers a request of a client that the endpoint admits. It bounds its time by itself: the request is cut after 30
	// seconds unless the deadlines are extended by [http.ResponseController], and in any case when the server ends. Expires, Renew,
	// Received and Sent of r are not set.
	ServeRequest(w http.ResponseWriter, r *Request)
}

// Request is a client's opening handshake, or another request of it.
type Request struct {
	*http.Request // with its headers and path values; not to be used after Open has returned

	Client   netip.Addr     // the client's address, behind all proxies
	Identity *auth.Identity // who it is

	// Allow asks the endpoint's rules whether the client may do something, such as "subscribe", to a channel. The error is
	// an [*auth.Error] whose cause says which rule denies it. It may be called for as long as the client is connected.
	Allow func(action, channel string) error

	// Expires is when the connection is closed because the credential expires; zero means never.
	Expires time.Time

	// Renew gives an open connection the credential in another token of the same user, and returns its identity; from then on
	// Allow goes by that. It may be
	// called for as long as the client is connected. The endpoint's methods look for the token where clients put a bearer
	// token.
	Renew func(ctx context.Context, token string) (*auth.Identity, error)

	// CheckRevoked returns nil if a credential that the client has shown to the target itself is not revoked. See [auth.CheckRevoked].
	CheckRevoked func(ctx context.Context, id *auth.Identity) error

	// Become says who a client is that has authenticated to the target itself, with a credential that CheckRevoked accepts: from then on Allow
	// goes by that identity. An anonymous client is from then on one of this user for limits, operators and revocations. The
	// error is that of the rules, which may deny it to connect, [auth.ErrRevoked], or a [*websocket.Reject] when the user has too
	// many connections.
	Become func(id *auth.Identity) error

	// Received and Sent count one message of so many bytes, in the metrics and for the operator. They are for Serve and
	// Tunnel: what goes through a Sender and a Receiver is counted anyway. They may be called for as long as the client is
	// connected. A non-nil error of Received means that the client has exceeded a limit: its connection is being closed,
	// and the message must be discarded. The error has the code and reason, as a [*websocket.CloseError].
	Received func(bytes int64) error
	Sent     func(bytes int64)
}

// Opened says how the connection of an admitted client is served. Exactly one of Open, Serve and Tunnel is set. A panic in
// any of them, or in the Receiver, costs this client and no other.
type Opened struct {
	// Open serves it with events, on the event loop where the connection allows that.
	Open func(websocket.Sender) websocket.Receiver

	// Serve serves it on a goroutine of its own, until it returns: with an error the connection is closed with 1011, unless
	// it has ended by then, otherwise with 1000. ctx ends when the connection has ended.
	Serve func(ctx context.Context, c *websocket.Conn) error

	// Tunnel takes over the connection after the 101 and carries its bytes. early is what the client has sent since. It
	// returns soon, with what ends the tunnel: its Shut has it end within seconds, whether the client answers or not. An error
	// ends the connection. The target calls done once, when both sides are closed, with a [*websocket.CloseError] if it is
	// known how.
	Tunnel func(client net.Conn, early []byte, done func(error)) (auth.Handle, error)

	// QueueFull says what happens to what a slow client has no room for. It is for Open and Serve.
	QueueFull websocket.QueuePolicy

	// HalfClose is for Serve: see [websocket.ConnOptions].
	HalfClose bool

	// DrainCode returns the code that the connection is closed with when the server drains and so many connections are left. If
	// nil, it is that of the configuration.
	DrainCode func(left int) websocket.Code

	// Server returns where the connection leads at the moment, for operators. nil means nowhere.
	Server func() string

	// Subprotocol is the one that the 101 names; the client must have offered it. "" means the choice of the endpoint's
	// configuration.
	Subprotocol string

	// Header is added to the 101, such as an upstream's cookies. May be nil.
	Header http.Header

	// Extensions is the Sec-WebSocket-Extensions of the 101, as an upstream has answered it. It is for Tunnel only.
	Extensions string

	// Abandon is called instead of Open, Serve and Tunnel when the client has gone, or was refused after all, before the
	// 101: it releases what Target.Open has made. May be nil.
	Abandon func()
}
