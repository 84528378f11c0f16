package client

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/websocket"
)

// The messages of the protocol that the API of the client contains.
type (
	// Welcome contains the client's ID and user.
	Welcome = wire.Welcome
	// Message is a publication.
	Message = wire.Message
	// Position is a place in a channel's stream.
	Position = wire.Position
	// Member is a user in a channel.
	Member = wire.Member
	// Change is a join, an update or a leave.
	Change = wire.Change
	// Error is the reason why a command has failed.
	Error = wire.Error
	// GapReason is the reason why missed messages cannot be recovered.
	GapReason = wire.GapReason
)

// Event is an event in a channel. Exactly one of its fields is set.
type Event struct {
	// Message is a publication.
	Message *Message

	// Change is a change of the members.
	Change *Change

	// Gap, if not "", is the reason why messages may be missing before the next message.
	Gap GapReason
}

// SubscribeOptions configures a subscription. With nil or the zero value, the subscription begins with the next publication.
type SubscribeOptions struct {
	// Since requests all messages after this position. nil requests none.
	Since *Position

	// Device requests all messages after those that this device of the user has acknowledged; see [Subscription.Ack]. If the device has not
	// acknowledged any message, the first event is a Gap with the reason no_ack. "" requests no messages. With Since, Device has no effect.
	Device string

	// Join makes the client a member of the channel, and Data is the member's public data.
	Join bool
	Data json.RawMessage

	// Members is the number of members to list in Subscription.Members.
	Members int

	// Changes requests the joins, updates and leaves of members.
	Changes bool

	// Handle, if not nil, is called with each event, one at a time, on the client's own goroutine, instead of queuing the event for Events.
	// Handle must not call methods that wait for a reply.
	Handle func(Event)
}

// Subscription is a subscription to one channel, across all connections of its client.
type Subscription struct {
	// Channel is the name of the channel. Users is the number of members when the subscription began, and Members is the first page of the
	// members.
	Channel string
	Users   int
	Members []Member

	client     *Client
	opts       SubscribeOptions
	ready      chan struct{} // signaled when an event was added to queue
	room       chan struct{} // signaled when an event was removed from queue
	done       chan struct{} // closed when the subscription has ended
	firstReply chan error    // receives the result of the first subscribe command

	mu          sync.Mutex
	queue       []queuedEvent
	position    Position // the position after the last received event
	read        Position // the position after the last event that the user has received
	hasPosition bool     // whether position is known
	answered    bool
	live        bool  // whether the server has accepted the subscription on the current connection
	err         error // the reason why the subscription has ended
}

// Subscribe subscribes to a channel, and returns when the server has replied. opts may be nil. A client can have only one
// subscription to a channel.
func (c *Client) Subscribe(ctx context.Context, channel string, opts *SubscribeOptions) (*Subscription, error) {
	s := &Subscription{
		Channel: channel, client: c, ready: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{}),
		firstReply: make(chan error, 1),
	}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Since != nil {
		s.position, s.read, s.hasPosition = *s.opts.Since, *s.opts.Since, true
	}
	c.mu.Lock()
	switch {
	case c.err != nil:
		c.mu.Unlock()
		return nil, c.err
	case c.subs[channel] != nil:
		c.mu.Unlock()
		return nil, &Error{Type: "error", Channel: channel, Code: wire.AlreadySubscribed, Message: "already subscribed to this channel"}
	}
	c.subs[channel] = s
	if c.conn != nil {
		c.subscribe(s)
	}
	c.mu.Unlock()
	var err error
	select {
	case err = <-s.firstReply:
	case <-s.done:
		err = s.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		c.removeSubscription(s)
		s.end(err)
		return nil, err
	}
	return s, nil
}

// subscribe sends the command. The caller holds mu, and conn is not nil.
func (c *Client) subscribe(s *Subscription) {
	cmd := &wire.Subscribe{
		Head: wire.Head{Type: "subscribe", Channel: s.Channel}, Join: s.opts.Join, Data: s.opts.Data, Members: s.opts.Members,
		Changes: s.opts.Changes,
	}
	s.mu.Lock()
	s.live = false
	switch {
	case s.hasPosition:
		cmd.Since = &wire.Since{Epoch: s.position.Epoch, Offset: s.position.Offset}
	case s.opts.Device != "":
		cmd.Since = &wire.Since{Device: s.opts.Device}
	}
	s.mu.Unlock()
	c.send(cmd, &call{sub: s})
}

// removeSubscription removes a subscription from the client, and reports whether the client had it.
func (c *Client) removeSubscription(s *Subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[s.Channel] != s {
		return false
	}
	delete(c.subs, s.Channel)
	return true
}

// retrySubscribe subscribes again after a pause, which may be 0. If the connection is lost before that, startConnection subscribes on the next connection.
func (c *Client) retrySubscribe(s *Subscription, pause time.Duration) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if pause == 0 {
		c.resubscribe(s, conn)
		return
	}
	c.wg.Go(func() {
		if c.waitRetry(c.ctx) == nil {
			c.resubscribe(s, conn)
		}
	})
}

// resubscribe subscribes again on a connection, unless the connection is lost.
func (c *Client) resubscribe(s *Subscription, conn *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn != nil && c.conn == conn && c.subs[s.Channel] == s {
		c.subscribe(s)
	}
}

// Position returns the position of the subscription: after the last event that Events has returned or for which Handle was called.
func (s *Subscription) Position() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// Err returns the reason why the subscription has ended, or nil until then.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription.
func (s *Subscription) Close(ctx context.Context) error {
	if !s.client.removeSubscription(s) {
		return nil
	}
	s.end(ErrClosed)
	_, err := s.client.doOnce(ctx, &wire.Unsubscribe{Head: wire.Head{Type: "unsubscribe", Channel: s.Channel}})
	if errors.Is(err, errConnectionLost) { // the subscription has ended with its connection
		return nil
	}
	return err
}

// end ends the subscription without a message to the server.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.done)
	}
}
