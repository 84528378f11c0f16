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

// Subprotocols are the subprotocols of the WebSocket endpoint. Without one, a connection uses JSON.
var Subprotocols = []string{subprotocolProtobuf, "centrifuge-json"}

const subprotocolProtobuf = "centrifuge-protobuf"

// Server serves the clients of an application. Its exported fields must be set before the first client, and not be changed
// afterwards. It may be used from any goroutine.
type Server struct {
	// Hub manages the channels. It is required.
	Hub *hub.Hub

	// App is the ID of the application.
	App string

	// Secret is the application's secret: tokens are signed with it, and it is the key of the API. If it is "", no token is valid,
	// and the API is not available.
	Secret string

	// Name and Version describe this node to clients and to the API. May be "".
	Name, Version string

	// CommandsPerSecond is the number of commands that a connection may send per second on average; further ones get error 111. 0
	// means 5000; a negative value means no limit.
	CommandsPerSecond int

	// RPC executes the calls of clients. A *RPCError determines the error that the client gets. If nil, clients get error 108.
	RPC func(ctx context.Context, c Caller, method string, data []byte) ([]byte, error)

	// Message is called for messages that a client sends without expecting a reply. If nil, such a client is closed with 3508.
	Message func(ctx context.Context, c Caller, data []byte)

	recent [2]recent.Cache[protocol.Publication] // the recent publications in each format

	mu      sync.Mutex
	streams map[string]*session // connections over HTTP, by their secret
}

// Client describes the client of a connection, according to its handshake.
type Client struct {
	// User is the authenticated user. "" means that a token must identify the client, unless Anonymous is set.
	User string

	// Anonymous admits a client without a token as the user "".
	Anonymous bool

	// Info is JSON that others see with the client's publications and as the member's data. May be nil.
	Info []byte

	// Allow is called before each action on a channel that no token allows: "subscribe", "publish", "presence", "history". An error
	// denies the action. If nil, every action is allowed.
	Allow func(action, channel string) error

	// CheckRevoked is called for every valid token of a connection or of a subscription before it is used. If the returned error is
	// [ErrRevoked], the client gets error 109, and requests another token from its application. May be nil.
	CheckRevoked func(ctx context.Context, t *Token) error

	// Identified is called when a token has identified the client, before any action, and again when that token is renewed. An error closes
	// the connection: [ErrTooMany] with 3504, other errors with 3507. [ErrRevoked] has the same effect as for CheckRevoked. May be nil.
	Identified func(t *Token) error

	// Expires is the time when the credential of the handshake expires; zero means never. The code that sets Expires must close the
	// connection at that time.
	Expires time.Time

	// Refresh renews the credential of the handshake with a new token, and returns the time when that token expires. If nil, the credential
	// cannot be renewed.
	Refresh func(ctx context.Context, token string) (expires time.Time, err error)

	// Received is called with the size of each request with commands of a connection over HTTP, before they are executed. Received may be
	// called concurrently. If Received returns an error, the commands are discarded; the caller of HTTPStream or SSE must close the
	// connection. Messages of a WebSocket are not reported: its Receiver sees them. May be nil.
	Received func(bytes int64) error
}

// Errors that have a special effect when CheckRevoked or Identified of a Client returns them.
var (
	// ErrRevoked is the error for a revoked token.
	ErrRevoked = errors.New("centrifugo: the token is revoked")

	// ErrTooMany is the error for a user who has too many connections.
	ErrTooMany = errors.New("centrifugo: too many connections")
)

// Caller is the client that calls the application.
type Caller struct {
	// App, User and Client are the application, the user, and the ID of the connection.
	App, User, Client string
}

// The range of error codes for applications. Lower codes are reserved for the protocol.
const (
	minRPCCode = 400
	maxRPCCode = 1999
)

// RPCError is an error that is sent to the caller unchanged. The codes of applications are 400 to 1999; with any other code the
// caller gets error 100.
type RPCError struct {
	// Code and Message are sent to the caller.
	Code    uint32
	Message string

	// Temporary reports that the same call may succeed later.
	Temporary bool
}

// Error implements error.
func (e *RPCError) Error() string { return e.Message }

// ConnOptions returns the options that the connections of clients must have: the hub requires a queue that drops the newest message.
func ConnOptions() websocket.ConnOptions {
	return websocket.ConnOptions{QueueFull: websocket.QueueDropNewest}
}

// Open returns the Open function of a websocket.Endpoint, or of an Admission, for one client.
func (s *Server) Open(c Client) func(websocket.Sender) websocket.Receiver {
	return func(out websocket.Sender) websocket.Receiver {
		f := asJSON
		if out.Subprotocol() == subprotocolProtobuf {
			f = asProtobuf
		}
		return s.newSession(c, out, f)
	}
}

// newSession returns a session that waits for its connect command.
func (s *Server) newSession(c Client, out websocket.Sender, f format) *session {
	n := &session{server: s, client: c, format: f, id: rand.Text()}
	n.out.init(out, f)
	n.clock.start(n)
	return n
}

func (s *Server) commands() float64 {
	if s.CommandsPerSecond == 0 {
		return 5000
	}
	return float64(s.CommandsPerSecond)
}
