package centrifugo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/internal/timeout"
	"github.com/handfast/handfast/websocket"
)

const (
	// commandTimeout is the timeout for a command that waits for the engine or for the application.
	commandTimeout = 10 * time.Second

	// faultsPerSecond is the average rate, and maxFaults the burst, of failed commands after which a client is closed.
	faultsPerSecond, maxFaults = 20, 200
)

// session is one connection. It is the Receiver of the client's messages.
type session struct {
	server *Server
	client Client
	format format
	id     string // the ID of the connection
	secret string // for a connection over HTTP, the secret that authorizes requests with commands; otherwise ""
	out    outbox
	clock  clock

	watches memberWatches

	commandMu   sync.Mutex // held while a command is executed; guards the fields below
	hub         *hub.Session
	token       *Token          // the token that has identified the client
	grantedNow  string          // the channel that the current subscription may use regardless of Allow; "" means none
	grants      map[string]bool // channels that a token or the application allows, regardless of Allow
	collections map[string]hub.Position
	commandRate limit.Bucket // limits commands
	faultRate   limit.Bucket // limits failed commands
}

// allow returns an error of type denied if the client may not perform the action. The caller holds turn.
func (s *session) allow(action, channel string) error {
	if s.client.Allow == nil || action == hub.ActionSubscribe && channel == s.grantedNow {
		return nil
	}
	if err := s.client.Allow(action, channel); err != nil {
		return denied{err}
	}
	return nil
}

// grant records whether a new subscription is allowed regardless of Allow. The caller holds turn.
func (s *session) grant(channel string, granted bool) {
	if !granted {
		delete(s.grants, channel)
		return
	}
	if s.grants == nil {
		s.grants = map[string]bool{}
	}
	s.grants[channel] = true
}

// user returns the user of the client. The caller holds turn.
func (s *session) user() string {
	if s.token != nil {
		return s.token.User
	}
	return s.client.User
}

func (s *session) caller() Caller { return Caller{App: s.server.App, User: s.user(), Client: s.id} }

// Message implements [websocket.Receiver]: it executes the commands in a message.
func (s *session) Message(m websocket.Message) error {
	if s.format == asJSON && m.Type != websocket.Text || s.format == asProtobuf && m.Type != websocket.Binary {
		return endBadRequest
	}
	return s.receive(m.Data)
}

// receive executes the commands in data.
func (s *session) receive(data []byte) error {
	s.commandMu.Lock()
	defer s.commandMu.Unlock()
	for len(data) > 0 {
		c := new(protocol.Command)
		var err error
		if data, err = s.format.decode(data, c); err != nil {
			return endBadRequest
		}
		if err := s.command(c); err != nil {
			return err
		}
		if s.out.tooSlow() {
			return endSlow
		}
	}
	return nil
}

// errNoCommand indicates that the received data is not a command.
var errNoCommand = errors.New("centrifugo: the data is not a command")

// decode decodes the first command of a message and returns the rest of the message.
func (f format) decode(data []byte, c *protocol.Command) ([]byte, error) {
	if f == asJSON {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		return rest, cfjson.Unmarshal(line, c, 0)
	}
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return nil, errNoCommand
	}
	end := n + int(size) // size is at most len(data)-n
	return data[end:], c.UnmarshalCF(data[n:end])
}

// command executes one command. An error ends the connection.
func (s *session) command(c *protocol.Command) error {
	now := time.Now()
	r, err := &protocol.Reply{Id: c.Id}, error(nil)
	kind := commandKind(c)
	switch {
	case kind == pong && s.hub != nil && s.clock.recordPong():
		return nil
	case s.hub == nil && kind != connects, s.hub != nil && kind == connects, kind == pong, c.Id == 0 && c.Send == nil:
		return endBadRequest
	}
	if per := s.server.commands(); per > 0 {
		if ok, _ := s.commandRate.Allow(now, per, int(2*per)); !ok {
			if err = errTooFast; c.Id == 0 { // without an ID there is no reply that could contain the error
				return endTooFast
			}
		}
	}
	if err == nil {
		ctx, cancel := timeout.Context(context.Background(), commandTimeout)
		defer cancel()
		err = s.do(ctx, c, r)
	}
	if end, ok := errors.AsType[*websocket.CloseError](err); ok {
		return end
	}
	if err != nil {
		r = &protocol.Reply{Id: c.Id, Error: (*protocol.Error)(failureOf(err))}
		if ok, _ := s.faultRate.Allow(now, faultsPerSecond, maxFaults); !ok {
			return endTooManyErrs
		}
	}
	if c.Id != 0 && r != nil {
		s.out.reply(r)
	}
	s.out.release() // sends the messages that were held back while the command subscribed
	return nil
}

// kind classifies commands by the state of the connection in which they are valid.
type kind uint8

const (
	other kind = iota
	connects
	pong
)

func commandKind(c *protocol.Command) kind {
	switch {
	case c.Connect != nil:
		return connects
	case c.Id == 0 && c.Send == nil && c.Subscribe == nil && c.Unsubscribe == nil && c.Publish == nil && c.Presence == nil &&
		c.PresenceStats == nil && c.History == nil && c.Ping == nil && c.Rpc == nil && c.Refresh == nil && c.SubRefresh == nil:
		return pong
	}
	return other
}

// do executes a command and completes the reply.
func (s *session) do(ctx context.Context, c *protocol.Command, r *protocol.Reply) (err error) {
	switch {
	case c.Connect != nil:
		r.Connect, err = s.connect(ctx, c.Connect)
	case c.Subscribe != nil:
		r.Subscribe, err = s.subscribeCommand(ctx, c.Subscribe)
	case c.Unsubscribe != nil:
		r.Unsubscribe, err = s.unsubscribe(c.Unsubscribe)
	case c.Publish != nil:
		r.Publish, err = s.publish(ctx, c.Publish)
	case c.Presence != nil:
		r.Presence, err = s.presence(ctx, c.Presence)
	case c.PresenceStats != nil:
		r.PresenceStats, err = s.presenceStats(ctx, c.PresenceStats)
	case c.History != nil:
		r.History, err = s.history(ctx, c.History)
	case c.Rpc != nil:
		r.Rpc, err = s.rpc(ctx, c.Rpc)
	case c.Send != nil:
		if s.server.Message == nil {
			return endNotAvailable
		}
		s.server.Message(ctx, s.caller(), c.Send.Data)
	case c.Refresh != nil:
		r.Refresh, err = s.refresh(ctx, c.Refresh)
	case c.SubRefresh != nil:
		r.SubRefresh, err = s.subRefresh(ctx, c.SubRefresh)
	default:
		return errNoMethod
	}
	return err
}

// Drained must be called when the queue of the connection is empty again.
func (s *session) Drained() {
	s.out.drained()
	if h := s.hubSession(); h != nil {
		h.Drained()
	}
}

// Closed implements [websocket.Receiver].
func (s *session) Closed(*websocket.CloseError) {
	s.clock.stop()
	s.watches.close()
	s.server.unregister(s)
	if h := s.hubSession(); h != nil {
		h.Leave()
	}
}

// hubSession returns the session in the hub, or nil if the client has not connected yet.
func (s *session) hubSession() *hub.Session {
	s.commandMu.Lock()
	defer s.commandMu.Unlock()
	return s.hub
}

// shut closes the connection.
func (s *session) shut(end *websocket.CloseError) {
	s.out.Shut(end.Code, end.Reason) //nolint:errcheck // this fails if the connection has already ended
}
