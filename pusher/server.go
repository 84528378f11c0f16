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

// App is an application: its channels, and the credentials of those who serve it.
type App struct {
	// ID names the application in the paths of the HTTP API and in the hub. It has no slash.
	ID string

	// Key names it in the paths of clients and in signatures. It is public.
	Key string

	// Secret makes signatures. An application without one accepts none.
	Secret string

	// Disabled rejects clients with 4003 and calls of the HTTP API with 403.
	Disabled bool
}

// Server speaks the protocol with the clients of applications. Its fields are set before the first client and not changed
// afterwards. It may be used from any goroutine.
type Server struct {
	// Hub has the channels, with the namespaces that Namespaces returns. It is required.
	Hub *hub.Hub

	// Apps are the applications. They are not modified.
	Apps []App

	// ClientEvents allows clients to publish client-* events in private and presence channels.
	ClientEvents bool

	// SubscriptionCounts sends the number of subscriptions to those of a channel without presence when it changes, at most once
	// a second.
	SubscriptionCounts bool

	// Watchlists serves the watchlists of users that sign in: a client is sent which of up to 100 users are online, on all nodes, which
	// are those that have signed in.
	Watchlists bool

	// Events is called for a cache channel that has no event for a subscriber, and, with SubscriptionCounts, for the number of
	// subscriptions when it is sent: hub.EventCacheMiss and hub.EventSubscriptionCount, each at most once a second for a channel.
	// It must not wait. nil means that they are not reported.
	Events func(hub.Event)

	// ActivityTimeout is how long a client may be silent before it is pinged. It is sent to clients in whole seconds. 0 means 120 s.
	ActivityTimeout time.Duration

	// PongTimeout is how long it may be silent after that. 0 means 30 s.
	PongTimeout time.Duration

	// MaxData is the most bytes of an event's data. 0 means 10 KiB.
	MaxData int

	// MaxMembers is the most members of a presence channel. 0 means 100.
	MaxMembers int

	// MaxConnections is the most connections of an application on this node; further ones are closed with 4004. 0 means no limit.
	MaxConnections int

	// MessagesPerSecond is how many messages a connection may send on average; further ones are answered with an error. 0 means
	// 1000; a negative value means no limit.
	MessagesPerSecond int

	mu     sync.Mutex
	open   limit.Count[string] // connections by application
	counts throttle            // of what SubscriptionCounts sends, by the engine's channel
	misses throttle            // of what Events is called for, likewise

	recent recent.Cache[websocket.Prepared] // of missed events
}

// Client is a connection that was admitted. The zero value of each field but Key and Protocol allows.
type Client struct {
	// Key is the application's, as the path of the handshake has it.
	Key string

	// Protocol and Version are those parameters of the handshake's query; "" when they are missing.
	Protocol, Version string

	// User is the user that the handshake has authenticated; "" if there is none. The client cannot sign in as another one.
	User string

	// Allow is asked before each action on a channel, in addition to the signatures of the protocol: "subscribe", "publish" for
	// client events, and "presence" for presence channels. An error denies it. nil allows everything.
	Allow func(action, channel string) error

	// Identified is called when a client without a User has signed in, before anything is allowed to it as that user, and not when the
	// same user signs in again. An error closes the connection: [ErrRevoked] with 4100, [ErrTooMany] with 4004, any other one with
	// 4009. May be nil.
	Identified func(ctx context.Context, user string) error
}

// The errors of Client.Identified that a connection distinguishes.
var (
	// ErrRevoked is the error for a user whose credentials were revoked after the connection began. The client comes back after a
	// pause, and asks its application for another signature.
	ErrRevoked = errors.New("pusher: the user is revoked")

	// ErrTooMany is the error for a user who has too many connections.
	ErrTooMany = errors.New("pusher: too many connections")
)

// ConnOptions returns the options that the connections of clients need: the hub relies on how their queue works.
func ConnOptions() websocket.ConnOptions {
	return websocket.ConnOptions{QueueFull: websocket.QueueDropNewest}
}

// Open returns the Open of a websocket.Endpoint, or of an Admission, for one client. A client that cannot be served is sent why,
// and closed: this protocol has no refusals before the 101.
func (s *Server) Open(c Client) func(websocket.Sender) websocket.Receiver {
	return func(out websocket.Sender) websocket.Receiver {
		app, code, why := s.accept(&c)
		if code == 0 && !s.take(app) {
			code, why = CodeOverQuota, "The application has reached its limit of connections."
		}
		if code != 0 {
			refuse(out, code, why)
			return nil
		}
		n := &session{server: s, app: app, client: c, out: out, id: socketID(), user: c.User, replies: replies.Queue{Out: out}}
		joined, err := s.Hub.Join(hub.Client{App: app.ID, ID: n.id, User: c.User, Out: out, Codec: codec{}, Allow: n.allow})
		if err != nil {
			s.free(app)
			refuse(out, CodeOverCapacity, "The server is stopping.")
			return nil
		}
		n.hub = joined
		n.reply(&event{Event: "pusher:connection_established", Data: jsonText(established{n.id, int(s.activityTimeout() / time.Second)})})
		n.pulse.start(n)
		return n
	}
}

// established is the data of pusher:connection_established.
type established struct {
	SocketID        string `json:"socket_id"`
	ActivityTimeout int    `json:"activity_timeout"` // in seconds
}

// accept checks what the handshake says. code is 0 if it is acceptable.
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
		_ = out.SendPrepared(m) // the close frame says the same
	}
	_ = out.Shut(code, why) // it may have ended
}

// take counts one more connection, if it may be there.
func (s *Server) take(app App) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open.Take(app.ID, s.MaxConnections)
}

func (s *Server) free(app App) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open.Free(app.ID)
}

// socketID returns a name for a connection. Server SDKs check its form.
func socketID() string {
	return strconv.FormatUint(uint64(rand.Uint32()), 10) + "." + strconv.FormatUint(rand.Uint64()>>11, 10) //nolint:gosec // not a secret
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
