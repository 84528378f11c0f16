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

// The messages of the protocol that a client's user sees.
type (
	// Welcome says who the client is.
	Welcome = wire.Welcome
	// Message is a publication.
	Message = wire.Message
	// Position is a place in a channel's stream.
	Position = wire.Position
	// Member is a user in a channel.
	Member = wire.Member
	// Change is a join, an update or a leave.
	Change = wire.Change
	// Error is why a command has failed.
	Error = wire.Error
	// GapReason is why it is not known what was missed.
	GapReason = wire.GapReason
)

// Event is what happens in a channel: one of its fields is set.
type Event struct {
	// Message is a publication.
	Message *Message

	// Change is a change of the members.
	Change *Change

	// Gap says that messages may be missing before the next one, and why.
	Gap GapReason
}

// SubscribeOptions says how to subscribe. nil and the zero value ask for what is published from now on.
type SubscribeOptions struct {
	// Since asks for everything behind this position. nil asks for nothing.
	Since *Position

	// Device asks for everything behind what this device of the user has acknowledged; see [Subscription.Ack]. If it has not
	// acknowledged anything, the first event is a Gap with the reason no_ack. "" asks for nothing; with Since it has no effect.
	Device string

	// Join makes the client a member of the channel, and Data is what the member shows to others.
	Join bool
	Data json.RawMessage

	// Members is how many members to list in Subscription.Members.
	Members int

	// Changes asks for the joins, updates and leaves of members.
	Changes bool

	// Handle, if not nil, is called with each event, one at a time, on the client's own goroutine, before and instead of Events.
	// It must not wait for the client.
	Handle func(Event)
}

// Subscription is a subscription to one channel, across all connections of its client.
type Subscription struct {
	// Channel is the name of the channel. Users and Members are how many members there were at first, and the first page of
	// them.
	Channel string
	Users   int
	Members []Member

	client *Client
	opts   SubscribeOptions
	ready  chan struct{} // noted when queue has something
	room   chan struct{} // noted when something was taken from it
	over   chan struct{} // closed when it has ended
	first  chan error    // the first answer

	mu       sync.Mutex
	queue    []received
	position Position // after the last received event
	read     Position // behind the last event that the user has got
	known    bool     // the position is
	answered bool
	live     bool  // it is answered on this connection
	err      error // why it has ended
}

// Subscribe subscribes to a channel, and returns when the server has answered. opts may be nil. A client has one subscription
// to a channel.
func (c *Client) Subscribe(ctx context.Context, channel string, opts *SubscribeOptions) (*Subscription, error) {
	s := &Subscription{
		Channel: channel, client: c, ready: make(chan struct{}, 1), room: make(chan struct{}, 1), over: make(chan struct{}),
		first: make(chan error, 1),
	}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Since != nil {
		s.position, s.read, s.known = *s.opts.Since, *s.opts.Since, true
	}
	c.mu.Lock()
	switch {
	case c.err != nil:
		c.mu.Unlock()
		return nil, c.err
	case c.subs[channel] != nil:
		c.mu.Unlock()
		return nil, &Error{Type: "error", Channel: channel, Code: wire.AlreadySubscribed, Message: "there is a subscription already"}
	}
	c.subs[channel] = s
	if c.conn != nil {
		c.subscribe(s)
	}
	c.mu.Unlock()
	var err error
	select {
	case err = <-s.first:
	case <-s.over:
		err = s.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		c.drop(s)
		s.end(err)
		return nil, err
	}
	return s, nil
}

// subscribe sends the command. mu is held; conn is not nil.
func (c *Client) subscribe(s *Subscription) {
	cmd := &wire.Subscribe{
		Head: wire.Head{Type: "subscribe", Channel: s.Channel}, Join: s.opts.Join, Data: s.opts.Data, Members: s.opts.Members,
		Changes: s.opts.Changes,
	}
	s.mu.Lock()
	s.live = false
	switch {
	case s.known:
		cmd.Since = &wire.Since{Epoch: s.position.Epoch, Offset: s.position.Offset}
	case s.opts.Device != "":
		cmd.Since = &wire.Since{Device: s.opts.Device}
	}
	s.mu.Unlock()
	c.send(cmd, &call{sub: s})
}

// drop forgets a subscription, and reports whether it was there.
func (c *Client) drop(s *Subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[s.Channel] != s {
		return false
	}
	delete(c.subs, s.Channel)
	return true
}

// again subscribes again, after a pause or immediately, if the connection is still there; if it is not, the next one does.
func (c *Client) again(s *Subscription, pause time.Duration) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if pause == 0 {
		c.resubscribe(s, conn)
		return
	}
	c.wg.Go(func() {
		if c.pause(c.ctx) == nil {
			c.resubscribe(s, conn)
		}
	})
}

// resubscribe subscribes again on a connection, unless it is lost.
func (c *Client) resubscribe(s *Subscription, conn *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn != nil && c.conn == conn && c.subs[s.Channel] == s {
		c.subscribe(s)
	}
}

// Position returns where the subscription is: behind the last event that Events has returned or Handle was called with.
func (s *Subscription) Position() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

// Err returns why the subscription has ended, nil until then.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription.
func (s *Subscription) Close(ctx context.Context) error {
	if !s.client.drop(s) {
		return nil
	}
	s.end(ErrClosed)
	_, err := s.client.once(ctx, &wire.Unsubscribe{Head: wire.Head{Type: "unsubscribe", Channel: s.Channel}})
	if errors.Is(err, errLost) { // it has ended with its connection
		return nil
	}
	return err
}

// end ends the subscription here.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.over)
	}
}
