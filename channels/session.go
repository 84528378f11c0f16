package channels

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/internal/replies"
	"github.com/handfast/handfast/internal/timeout"
	"github.com/handfast/handfast/websocket"
)

const (
	// commandTimeout is the timeout for a command that waits for the hub's engine.
	commandTimeout = 10 * time.Second

	// failuresPerSecond is the average rate, and maxFailures the burst, of failed commands after which a client is closed.
	failuresPerSecond, maxFailures = 20, 200
)

// session is one connection, and the Receiver of its messages. The calls of a Receiver do not overlap, so only one goroutine at a time uses
// a session.
type session struct {
	server    *Server
	hub       *hub.Session
	id        string // the ID of the connection
	user      string // user, allowFunc and renew are User, Allow and Refresh of the Client
	allowFunc func(action, channel string) error
	renew     func(ctx context.Context, token string) (expires time.Time, err error)

	commandRate limit.Bucket // limits commands
	failureRate limit.Bucket // limits failed commands

	replies replies.Queue // sends the replies on the connection
	devices []string      // the devices for which the client has acknowledged messages
}

// denied wraps an error that Client.Allow has returned.
type denied struct{ error }

func (d denied) Unwrap() error { return d.error }

// allow returns an error of type denied if the client may not perform the action.
func (s *session) allow(action, channel string) error {
	if s.allowFunc == nil {
		return nil
	}
	if err := s.allowFunc(action, channel); err != nil {
		return denied{err}
	}
	return nil
}

// Message implements [websocket.Receiver]: it executes a command.
func (s *session) Message(m websocket.Message) error {
	now := time.Now()
	failed := &wire.Error{Type: "error", Code: wire.BadRequest, Message: "a command is a text message"}
	if m.Type == websocket.Text {
		var c wire.Command
		c, failed = wire.Decode(m.Data)
		if rate := s.server.commands(); rate > 0 {
			if ok, _ := s.commandRate.Allow(now, rate, int(2*rate)); !ok {
				tooFast := &wire.Error{Type: "error", Code: wire.TooFast, Message: "too many commands in a short time"}
				if failed != nil {
					tooFast.ID = failed.ID
				} else {
					tooFast.ID = wire.HeadOf(c).ID
				}
				failed = tooFast
			}
		}
		if failed == nil {
			failed = s.execute(c)
		}
	}
	if failed != nil {
		s.reply(failed)
		if ok, _ := s.failureRate.Allow(now, failuresPerSecond, maxFailures); !ok {
			return &websocket.CloseError{Code: websocket.CodePolicy, Reason: "too many commands have failed"}
		}
	}
	if s.replies.Slow() {
		return &websocket.CloseError{Code: wire.CloseSlow, Reason: "the client reads too slowly"}
	}
	return nil
}

// Drained must be called when the queue of the connection is empty again.
func (s *session) Drained() {
	s.replies.Drained()
	s.hub.Drained()
}

// Closed implements [websocket.Receiver].
func (s *session) Closed(*websocket.CloseError) { s.hub.Leave() }

// reply sends a reply. If the queue has no room, the reply waits.
func (s *session) reply(m any) {
	text, err := wire.Encode(m)
	if err != nil {
		text, _ = wire.Encode(&wire.Error{Type: "error", Code: wire.Unavailable, Message: "the reply cannot be encoded"})
	}
	s.replies.Send(text)
}

// execute executes a command and replies to it. If the command fails, execute returns the error reply without sending it.
func (s *session) execute(c wire.Command) *wire.Error {
	ctx, cancel := timeout.Context(context.Background(), commandTimeout)
	defer cancel()
	h := wire.HeadOf(c)
	var err error
	switch c := c.(type) {
	case *wire.Subscribe:
		err = s.subscribe(ctx, c)
	case *wire.Unsubscribe:
		err = s.replyDone(h, s.hub.Unsubscribe(h.Channel))
	case *wire.Publish:
		err = s.publish(ctx, c)
	case *wire.Members:
		err = s.members(ctx, c)
	case *wire.History:
		err = s.history(ctx, c)
	case *wire.Snapshot:
		err = s.snapshot(ctx, c)
	case *wire.Update:
		err = s.replyDone(h, s.hub.Update(ctx, h.Channel, c.Data))
	case *wire.Ack:
		err = s.replyDone(h, s.ack(ctx, c))
	case *wire.Refresh:
		err = s.refresh(ctx, c)
	case *wire.Ping:
		s.reply(&wire.Done{Type: "pong", ID: h.ID})
	}
	if err == nil {
		return nil
	}
	code, text := errorCode(err)
	return &wire.Error{Type: "error", ID: h.ID, Channel: h.Channel, Code: code, Message: text}
}

// replyDone sends the reply to a command that has no result, unless the command has failed.
func (s *session) replyDone(h *wire.Head, err error) error {
	if err == nil && h.ID != 0 {
		s.reply(&wire.Done{Type: "done", ID: h.ID})
	}
	return err
}

// errorCode returns the code of an error, for the client.
func errorCode(err error) (code wire.Code, text string) {
	if _, ok := errors.AsType[denied](err); ok {
		return wire.Denied, "this is not allowed"
	}
	for _, known := range []struct {
		err  error
		code wire.Code
		text string
	}{
		{hub.ErrSubscribed, wire.AlreadySubscribed, "already subscribed to this channel"},
		{hub.ErrNotSubscribed, wire.NotSubscribed, "not subscribed to this channel"},
		{hub.ErrTooMany, wire.TooMany, "the limit on subscriptions is reached"},
		{errDevices, wire.TooMany, "a connection may acknowledge messages for at most " + strconv.Itoa(maxDevices) + " devices"},
		{hub.ErrTooFast, wire.TooFast, "too many publications in a short time"},
		{hub.ErrTooBig, wire.TooBig, "the data is too large for this channel"},
		{hub.ErrNoPresence, wire.NoPresence, "this channel has no members"},
		{hub.ErrBadChannel, wire.BadRequest, "not a valid channel name"},
		{hub.ErrNotYours, wire.Denied, "this channel belongs to another user"},
		{hub.ErrUnsupported, wire.Unsupported, "the server does not support this"},
		{errUnsupported, wire.Unsupported, "the server does not support this"},
		{errToken, wire.Denied, "the token is not accepted"},
	} {
		if errors.Is(err, known.err) {
			return known.code, known.text
		}
	}
	return wire.Unavailable, "the server is temporarily unavailable: try again later"
}
