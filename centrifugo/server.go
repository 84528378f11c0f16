package centrifugo

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/recent"
	"github.com/handfast/handfast/websocket"
)

// Subprotocols are those of the WebSocket endpoint. Without one, a connection speaks JSON.
var Subprotocols = []string{subprotocolProtobuf, "centrifuge-json"}

const subprotocolProtobuf = "centrifuge-protobuf"

// Server speaks the protocol with the clients of an application. Its exported fields are set before the first client and not
// changed afterwards. It may be used from any goroutine.
type Server struct {
	// Hub has the channels. It is required.
	Hub *hub.Hub

	// App is the ID of the application.
	App string

	// Secret is the application's: tokens are signed with it, and it is the key of the API. "" means that no token is valid, and
	// that there is no API.
	Secret string

	// Name and Version are what clients and the API get as those of this node. May be "".
	Name, Version string

	// CommandsPerSecond is how many commands a connection may send on average; further ones get error 111. 0 means 5000; a
	// negative value means no limit.
	CommandsPerSecond int

	// RPC carries out what a client calls. A *RPCError picks the error that the client gets. nil means that there is nothing to
	// call: clients get error 108.
	RPC func(ctx context.Context, c Caller, method string, data []byte) ([]byte, error)

	// Message is called for messages that a client sends without waiting for an answer. If nil, such a client is closed with 3508.
	Message func(ctx context.Context, c Caller, data []byte)

	recent [2]recent.Cache[protocol.Publication] // by format

	mu      sync.Mutex
	streams map[string]*session // connections over HTTP, by their secret
}

// Client is who a connection belongs to, as far as its handshake says.
type Client struct {
	// User is the authenticated user. "" means that a token has to say who it is, unless Anonymous.
	User string

	// Anonymous admits a client without a token as the user "".
	Anonymous bool

	// Info is JSON that others see with what the client publishes and as the member's data. May be nil.
	Info []byte

	// Allow is asked before each action on a channel that no token allows: "subscribe", "publish", "presence", "history". An
	// error denies it. nil allows everything.
	Allow func(action, channel string) error

	// CheckRevoked is called for every token that is valid, of a connection or of a subscription, before it is used. If the error is
	// [ErrRevoked], the client gets error 109, and asks its application for another token. May be nil.
	CheckRevoked func(ctx context.Context, t *Token) error

	// Identified is called when a token has said who the client is, before anything is allowed to it, and again when that token
	// is renewed. An error closes the connection: [ErrTooMany] with 3504, any other one with 3507, except [ErrRevoked], which has the
	// effect that it has with CheckRevoked. May be nil.
	Identified func(t *Token) error

	// Expires is when the credential of the handshake expires; zero means never. The code that sets it closes the connection
	// then.
	Expires time.Time

	// Refresh renews the credential of the handshake with a new token, and returns when that one expires. nil means that there is
	// nothing to renew.
	Refresh func(ctx context.Context, token string) (expires time.Time, err error)

	// Received is called with the size of each request that carries commands of a connection over HTTP, before they are carried out. It
	// may be called concurrently. If it returns an error, the commands are discarded; closing the connection is up to the caller of
	// HTTPStream or SSE. A message of a WebSocket is not reported: its Receiver sees it. May be nil.
	Received func(bytes int64) error
}

// The errors of the functions of a Client that a connection distinguishes.
var (
	// ErrRevoked is the error for a revoked token.
	ErrRevoked = errors.New("centrifugo: the token is revoked")

	// ErrTooMany is the error for a user who has too many connections.
	ErrTooMany = errors.New("centrifugo: too many connections")
)

// Caller is the connection that calls the application.
type Caller struct {
	// App, User and Client are the application, the user, and the ID of the connection.
	App, User, Client string
}

// The codes that applications may use: lower ones are the protocol's.
const (
	minRPCCode = 400
	maxRPCCode = 1999
)

// RPCError is an error that a caller gets unchanged. Codes of applications are 400 to 1999; with another one the caller gets
// error 100.
type RPCError struct {
	// Code and Message are the error.
	Code    uint32
	Message string

	// Temporary says that the same call may succeed later.
	Temporary bool
}

// Error implements error.
func (e *RPCError) Error() string { return e.Message }

// ConnOptions returns the options that the connections of clients need: the hub relies on how their queue works.
func ConnOptions() websocket.ConnOptions {
	return websocket.ConnOptions{QueueFull: websocket.QueueDropNewest}
}

// Open returns the Open of a websocket.Endpoint, or of an Admission, for one client.
func (s *Server) Open(c Client) func(websocket.Sender) websocket.Receiver {
	return func(out websocket.Sender) websocket.Receiver {
		f := asJSON
		if out.Subprotocol() == subprotocolProtobuf {
			f = asProtobuf
		}
		return s.newSession(c, out, f)
	}
}

// newSession makes a session that waits for its connect command.
func (s *Server) newSession(c Client, out websocket.Sender, f format) *session {
	n := &session{server: s, client: c, format: f, id: rand.Text()}
	n.out.Sender, n.out.format = out, f
	n.clock.start(n)
	return n
}

func (s *Server) commands() float64 {
	if s.CommandsPerSecond == 0 {
		return 5000
	}
	return float64(s.CommandsPerSecond)
}
