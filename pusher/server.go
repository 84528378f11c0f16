package pusher

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/internal/recent"
	"github.com/handfast/handfast/internal/replies"
	"github.com/handfast/handfast/websocket"
)

// App is an application, with its credentials.
type App struct {
	// ID is the ID of the application in the paths of the HTTP API and in the hub. It must not contain a slash.
	ID string

	// Key identifies the application in the paths of clients and in signatures. It is public.
	Key string

	// Secret is the key for signatures. If it is empty, no signature is valid.
	Secret string

	// Disabled rejects clients with 4003 and calls of the HTTP API with 403.
	Disabled bool
}

// Server serves the clients of applications. Its fields must be set before the first client, and not be changed afterwards. It may
// be used from any goroutine.
type Server struct {
	// Hub manages the channels, with the namespaces that Namespaces returns. It is required.
	Hub *hub.Hub

	// Apps are the applications. They are not modified.
	Apps []App

	// ClientEvents allows clients to publish client-* events in private and presence channels.
	ClientEvents bool

	// SubscriptionCounts sends the number of subscriptions of a channel without presence to its subscribers when it changes, at
	// most once a second.
	SubscriptionCounts bool

	// Watchlists enables the watchlists of users that sign in: a client is notified about which of up to 100 users are online on
	// any node. A user is online while signed in.
	Watchlists bool

	// Events is called when a cache channel has no event for a subscriber, and, with SubscriptionCounts, when the number of
	// subscriptions is sent: hub.EventCacheMiss and hub.EventSubscriptionCount, each at most once a second for a channel. It must
	// not block. If nil, these events are not reported.
	Events func(hub.Event)

	// ActivityTimeout is how long a client may be silent before a ping. Clients receive the value in whole seconds. 0 means 120 s.
	ActivityTimeout time.Duration

	// PongTimeout is how long a client may remain silent after a ping. 0 means 30 s.
	PongTimeout time.Duration

	// MaxData is the maximum size of an event's data in bytes. 0 means 10 KiB.
	MaxData int

	// MaxMembers is the maximum number of members of a presence channel. 0 means 100.
	MaxMembers int

	// MaxConnections is the maximum number of connections of an application on this node; further connections are closed with 4004.
	// 0 means no limit.
	MaxConnections int

	// MessagesPerSecond is the number of messages that a connection may send per second on average; the reply to further messages
	// is an error. 0 means 1000; a negative value means no limit.
	MessagesPerSecond int

	mu     sync.Mutex
	open   limit.Count[string] // connections by application
	counts throttle            // limits the messages of SubscriptionCounts; keyed by the engine's channel
	misses throttle            // limits the cache misses for Events; keyed by the engine's channel

	recent recent.Cache[websocket.Prepared] // encoded missed events
}

// Client is an admitted connection. The zero value of each field, except for Key and Protocol, sets no restriction.
type Client struct {
	// Key is the application's key in the path of the handshake.
	Key string

	// Protocol and Version are the query parameters of the handshake with these names; "" if they are missing.
	Protocol, Version string

	// User is the user that the handshake has authenticated; "" if there is none. The client cannot sign in as another user.
	User string

	// Allow is called before each action on a channel, in addition to checking the signatures of the protocol: "subscribe",
	// "publish" for client events, and "presence" for presence channels. An error denies the action. If nil, every action is
	// allowed.
	Allow func(action, channel string) error

	// Identified is called when a client without a User has signed in, before any action as that user, but not when the same user
	// signs in again. An error closes the connection: [ErrRevoked] with 4100, [ErrTooMany] with 4004, any other one with
	// 4009. May be nil.
	Identified func(ctx context.Context, user string) error
}

// The errors of Client.Identified that have a special effect.
var (
	// ErrRevoked is the error for a user whose credentials were revoked after the connection began. The client reconnects after a
	// pause, and requests another signature from its application.
	ErrRevoked = errors.New("pusher: the user is revoked")

	// ErrTooMany is the error for a user who has too many connections.
	ErrTooMany = errors.New("pusher: too many connections")
)

// ConnOptions returns the required options for the connections of clients: the hub relies on the behavior of their queue.
func ConnOptions() websocket.ConnOptions {
	return websocket.ConnOptions{QueueFull: websocket.QueueDropNewest}
}

// Open returns the Open function of a websocket.Endpoint, or of an Admission, for one client. A client that cannot be served gets
// an error after the 101 response, and is closed, because this protocol does not reject handshakes.
func (s *Server) Open(c Client) func(websocket.Sender) websocket.Receiver {
	return func(out websocket.Sender) websocket.Receiver {
		app, code, why := s.accept(&c)
		if code == 0 && !s.acquire(app) {
			code, why = CodeOverQuota, "The application has reached its limit of connections."
		}
		if code != 0 {
			refuse(out, code, why)
			return nil
		}
		n := &session{server: s, app: app, client: c, out: out, id: socketID(), user: c.User, replies: replies.Queue{Out: out}}
		joined, err := s.Hub.Join(hub.Client{App: app.ID, ID: n.id, User: c.User, Out: out, Codec: codec{}, Allow: n.allow})
		if err != nil {
			s.release(app)
			refuse(out, CodeOverCapacity, "The server is stopping.")
			return nil
		}
		n.hub = joined
		n.reply(&event{Event: "pusher:connection_established", Data: jsonText(established{n.id, int(s.activityTimeout() / time.Second)})})
		n.heartbeat.start(n)
		return n
	}
}

// established is the data of pusher:connection_established.
type established struct {
	SocketID        string `json:"socket_id"`
	ActivityTimeout int    `json:"activity_timeout"` // in seconds
}

// accept checks the parameters of the handshake. code is 0 if they are accepted.
func (s *Server) accept(c *Client) (app App, code websocket.Code, why string) {
	switch protocol, err := strconv.Atoi(c.Protocol); {
	case c.Key == "":
		return App{}, CodeBadPath, "The path has no application key."
	case c.Protocol == "":
		return App{}, CodeNoProtocol, "The query has no protocol version."
	case err != nil || protocol < 5 || protocol > 7:
		return App{}, CodeBadProtocol, "The protocol version is not supported; 5, 6 and 7 are."
	case c.Version != "" && !version.MatchString(c.Version):
		return App{}, CodeBadVersion, "The version of the client is not of the form 1.2.3."
	}
	for _, app := range s.Apps {
		switch {
		case app.Key != c.Key:
		case app.Disabled:
			return App{}, CodeDisabled, "The application is disabled."
		default:
			return app, 0, ""
		}
	}
	return App{}, CodeNoApp, "There is no application with this key."
}

// refuse sends an error, and closes with the same code.
func refuse(out websocket.Sender, code websocket.Code, why string) {
	if m, err := prepare(failure(int(code), why, "")); err == nil {
		_ = out.SendPrepared(m) // if this fails, the close frame has the same content
	}
	_ = out.Shut(code, why) // this fails if the connection has ended
}

// acquire counts a connection, and reports false if the limit is exceeded.
func (s *Server) acquire(app App) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open.Take(app.ID, s.MaxConnections)
}

func (s *Server) release(app App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open.Free(app.ID)
}

// socketID returns an ID for a connection, in the form that server SDKs require.
func socketID() string {
	return strconv.FormatUint(uint64(rand.Uint32()), 10) + "." + strconv.FormatUint(rand.Uint64()>>11, 10) // a socket ID is not a secret
}

func (s *Server) activityTimeout() time.Duration {
	return orDefault(s.ActivityTimeout, 120*time.Second)
}
func (s *Server) pongTimeout() time.Duration { return orDefault(s.PongTimeout, 30*time.Second) }
func (s *Server) maxData() int               { return orDefault(s.MaxData, 10<<10) }
func (s *Server) maxMembers() int            { return orDefault(s.MaxMembers, 100) }
func (s *Server) messages() int              { return orDefault(s.MessagesPerSecond, 1000) }

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
