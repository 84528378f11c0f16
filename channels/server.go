package channels

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/recent"
	"github.com/handfast/handfast/internal/replies"
	"github.com/handfast/handfast/websocket"
)

// Server serves the clients of an application. Its fields must be set before the first client, and not be changed afterwards. It
// may be used from any goroutine, and must not be copied after its first use.
type Server struct {
	// Hub manages the channels. It is required.
	Hub *hub.Hub

	// App is the ID of the application.
	App string

	// CommandsPerSecond is the number of commands that a connection may send per second on average; further ones get the error
	// too_fast. 0 means 5000; a negative value means no limit.
	CommandsPerSecond int

	recent recent.Cache[websocket.Prepared]
}

// Client describes the client of a connection. The zero value may perform every action.
type Client struct {
	// User is the authenticated user; "" if there is none.
	User string

	// Info is JSON that other clients see with the client's publications and as the member's data. May be nil.
	Info []byte

	// Allow is called before each action on a channel: "subscribe", "publish", "presence", "history". An error denies the action.
	// If nil, every action is allowed.
	Allow func(action, channel string) error

	// Expires is the time when the credential expires; zero means never. The code that sets Expires must close the connection at that time.
	Expires time.Time

	// Refresh replaces the credential with a new token, and returns the time when that token expires. If nil, the credential cannot be
	// renewed.
	Refresh func(ctx context.Context, token string) (expires time.Time, err error)
}

// ConnOptions returns the options that the connections of clients must have: the hub requires a queue that drops the newest message.
func ConnOptions() websocket.ConnOptions {
	return websocket.ConnOptions{QueueFull: websocket.QueueDropNewest}
}

// Open returns the Open function of a websocket.Endpoint, or of an Admission, for one client.
func (s *Server) Open(c Client) func(websocket.Sender) websocket.Receiver {
	return func(out websocket.Sender) websocket.Receiver {
		n := &session{server: s, id: rand.Text(), user: c.User, allowFunc: c.Allow, renew: c.Refresh, replies: replies.Queue{Out: out}}
		joined, err := s.Hub.Join(hub.Client{
			App: s.App, ID: n.id, User: c.User, Data: c.Info, Out: out, Codec: codec{}, Allow: n.allow,
		})
		if err != nil {
			_ = out.Shut(websocket.CodeGoingAway, "the server is stopping") // the connection may have ended
			return nil
		}
		n.hub = joined
		n.reply(&wire.Welcome{Type: "welcome", Client: n.id, User: c.User, ExpiresIn: secondsUntil(c.Expires)})
		return n
	}
}

func (s *Server) commands() float64 {
	if s.CommandsPerSecond == 0 {
		return 5000
	}
	return float64(s.CommandsPerSecond)
}

// secondsUntil returns the time until t in whole seconds, at least one; 0 for the zero time.
func secondsUntil(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, int64(time.Until(t)/time.Second))
}
