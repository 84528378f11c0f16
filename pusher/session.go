package pusher

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/internal/replies"
	"github.com/handfast/handfast/internal/timeout"
	"github.com/handfast/handfast/websocket"
)

const (
	// commandTimeout is the timeout for a message that waits for the engine.
	commandTimeout = 10 * time.Second

	// faultsPerSecond is the average rate, and maxFaults the burst, of errors after which a client is closed.
	faultsPerSecond, maxFaults = 20, 200

	// clientEventsPerSecond is the number of client events that a connection may send per second.
	clientEventsPerSecond = 10
)

// session is one connection. It is the Receiver of the client's messages. The calls of a Receiver do not overlap, so only one
// goroutine at a time uses the session, in addition to the timer of heartbeat.
type session struct {
	server    *Server
	app       App
	client    Client
	out       websocket.Sender
	hub       *hub.Session
	id        string // the socket_id
	user      string // the user who has signed in, or whom the handshake has authenticated; "" if there is none
	heartbeat heartbeat

	messageRate limit.Bucket // limits messages
	eventRate   limit.Bucket // limits client events
	faultRate   limit.Bucket // limits errors

	replies   replies.Queue
	watchlist watchlist
}

// denied is an error that Allow has returned.
type denied struct{ error }

func (d denied) Unwrap() error { return d.error }

// allow calls Allow, and marks its error as denied to distinguish a denial from a failure.
func (s *session) allow(action, channel string) error {
	if s.client.Allow == nil {
		return nil
	}
	if err := s.client.Allow(action, channel); err != nil {
		return denied{err}
	}
	return nil
}

// closing is an error that closes the connection. The client also gets it as a pusher:error.
type closing struct {
	code   websocket.Code
	reason string
}

func (c closing) Error() string { return c.reason }

// Message implements [websocket.Receiver]: it executes a command.
func (s *session) Message(m websocket.Message) error {
	s.heartbeat.recordActivity()
	now := time.Now()
	failed := s.do(now, m)
	var end closing
	if errors.As(failed, &end) {
		s.reply(failure(int(end.code), end.reason, ""))
		return &websocket.CloseError{Code: end.code, Reason: end.reason}
	}
	if failed != nil {
		var f fault
		if !errors.As(failed, &f) {
			f = fault{message: "Temporarily unavailable: try again later."}
		}
		s.reply(f.event())
		if ok, _ := s.faultRate.Allow(now, faultsPerSecond, maxFaults); !ok {
			return &websocket.CloseError{Code: CodeOverCapacity, Reason: "Too many of your messages are invalid."}
		}
	}
	if s.replies.Slow() {
		return &websocket.CloseError{Code: CodeOverCapacity, Reason: "You read too slowly."}
	}
	return nil
}

// Drained must be called when the queue of the connection is empty again.
func (s *session) Drained() {
	s.replies.Drained()
	s.watchlist.resume(!s.replies.Waiting())
	s.hub.Drained()
}

// Closed implements [websocket.Receiver].
func (s *session) Closed(*websocket.CloseError) {
	s.heartbeat.stop()
	s.watchlist.close()
	channels := s.countedChannels()
	s.hub.Leave()
	for _, channel := range channels {
		s.count(channel)
	}
	s.server.release(s.app)
}

// reply sends a reply. If the queue has no room, the reply waits.
func (s *session) reply(e *event) { s.replies.Send(encode(e)) }

// fault is an error that is sent to the client, while the connection continues. It is a pusher:subscription_error if kind is set,
// otherwise a pusher:error.
type fault struct {
	kind    string
	code    int
	message string
	channel string
}

func (f fault) Error() string { return f.message }

// event returns the message for the fault.
func (f fault) event() *event {
	if f.kind == "" {
		return failure(f.code, f.message, f.channel)
	}
	return &event{Event: "pusher:subscription_error", Channel: f.channel, Data: subscriptionError{f.kind, f.message, f.code}}
}

// do executes a command, and replies unless the command fails.
func (s *session) do(now time.Time, m websocket.Message) error {
	if per := s.server.messages(); per > 0 {
		if ok, _ := s.messageRate.Allow(now, float64(per), 2*per); !ok {
			return fault{message: "You send too many messages.", code: int(CodeTooManyEvents)}
		}
	}
	if m.Type != websocket.Text {
		return fault{message: "A message must be text: this one is binary."}
	}
	var c command
	if err := json.Unmarshal(m.Data, &c); err != nil {
		return fault{message: "A message must be a JSON object with an event and, depending on the event, a channel and data: " + describeJSONError(err) + "."}
	}
	ctx, cancel := timeout.Context(context.Background(), commandTimeout)
	defer cancel()
	switch {
	case strings.HasPrefix(c.Event, "client-"):
		return s.publish(ctx, now, &c)
	case c.Event == "pusher:ping":
		s.reply(&event{Event: "pusher:pong", Data: struct{}{}})
		return nil
	case c.Event == "pusher:pong":
		return nil
	}
	var r request
	switch c.Event {
	case "pusher:subscribe", "pusher:unsubscribe", "pusher:signin":
		if err := json.Unmarshal(unwrap(c.Data), &r); err != nil {
			return fault{message: "The data of " + c.Event + " is not valid: " + describeJSONError(err) + "."}
		}
	}
	switch c.Event {
	case "pusher:subscribe":
		return s.subscribe(ctx, &r)
	case "pusher:unsubscribe":
		return s.unsubscribe(&r)
	case "pusher:signin":
		return s.signIn(ctx, &r)
	case "":
		return fault{message: "The message has no event."}
	}
	return fault{message: "The event is unknown: the events that clients send begin with pusher: or client-."}
}

// describeJSONError describes a JSON error, without quoting the input.
func describeJSONError(err error) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return cmp.Or(wrong.Field, "the JSON") + " has the wrong type"
	}
	return "the text is not valid JSON"
}
