package hub

import (
	"context"
	"slices"
)

// CommandKind is the action of a Command.
type CommandKind uint8

const (
	CommandDisconnect  CommandKind = iota // close the connections
	CommandUnsubscribe                    // call Client.Command, and end the subscription to Channel, or all subscriptions if that is ""
	CommandMessage                        // call Client.Command, for a message that a protocol defines
)

// Command is executed on every node, for the sessions that it matches.
type Command struct {
	// Kind is the action of the command.
	Kind CommandKind

	// App is the application.
	App string

	// User and Client select the sessions; "" means any. One of them is required, except for CommandUnsubscribe.
	User, Client string

	// Except are the IDs of clients to skip. May be nil.
	Except []string

	// Channel is the channel to unsubscribe from, or the channel that a message concerns.
	Channel string

	// Data is for the protocol, which defines its meaning: the content of a message, or how to disconnect. Client.Command is called
	// before the connection is closed. May be nil.
	Data []byte

	// Reason is the reason that the clients receive.
	Reason EndReason
}

// matches reports whether the command selects a client.
func (c *Command) matches(to *Client) bool {
	return to.App == c.App && (c.User == "" || to.User == c.User) && (c.Client == "" || to.ID == c.Client) &&
		!slices.Contains(c.Except, to.ID)
}

// Do executes a command on all nodes.
func (h *Hub) Do(ctx context.Context, c Command) error {
	if c.Kind != CommandUnsubscribe && c.User == "" && c.Client == "" {
		return ErrUnsupported
	}
	if b, ok := h.engine.(Broadcast); ok {
		return b.Broadcast(ctx, c)
	}
	(*sink)(h).Command(c)
	return nil
}

// Command implements [Sink].
func (s *sink) Command(c Command) {
	h := (*Hub)(s)
	h.tasks.do(func() { h.execute(c) })
}

func (h *Hub) execute(c Command) {
	for _, s := range h.sessions.matching(&c) {
		switch c.Kind {
		case CommandDisconnect:
			if f := s.client.Command; f != nil && c.Data != nil {
				f(c)
			}
			s.end(c.Reason)
		case CommandUnsubscribe:
			if f := s.client.Command; f != nil {
				f(c)
			}
			s.endSubscriptions(&c)
		case CommandMessage:
			if f := s.client.Command; f != nil {
				f(c)
			}
		}
	}
}

// matching returns the sessions that a command selects.
func (t *sessionTable) matching(c *Command) []*Session {
	var all []*Session
	add := func(s *Session) {
		if who := s.Client(); c.matches(&who) {
			all = append(all, s)
		}
	}
	if c.User == "" {
		t.each(add)
		return all
	}
	shard := t.shard(c.User)
	shard.mu.Lock()
	some := sessionsIn(shard.users, c.User, nil)
	shard.mu.Unlock()
	for _, s := range some {
		add(s)
	}
	return all
}

// Recheck calls Allow again for the session's subscriptions, and for the changes of members that it receives.
// Subscriptions that are no longer allowed end with EndDenied. It should be called when the permissions have changed.
// except reports channels that are allowed by other means; it may be nil.
func (s *Session) Recheck(except func(channel string) bool) {
	changes := map[string]bool{}
	s.mu.Lock()
	for _, x := range s.subs {
		changes[x.ch.local()] = x.flags&wantsChanges != 0
	}
	s.mu.Unlock()
	for channel, also := range changes {
		if except != nil && except(channel) {
			continue
		}
		err := s.checkAllowed(ActionSubscribe, channel)
		if err == nil && also {
			err = s.checkAllowed(ActionPresence, channel)
		}
		if err != nil {
			s.endSubscriptions(&Command{Channel: channel, Reason: EndDenied})
		}
	}
}

// endSubscriptions ends the subscriptions that a command selects.
func (s *Session) endSubscriptions(c *Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.subs) - 1; i >= 0; i-- {
		x := s.subs[i]
		name := x.ch.local()
		if c.Channel != "" && c.Channel != name {
			continue
		}
		x.end()
		if m, _ := s.client.Codec.Ended(name, c.Reason); m != nil {
			s.client.Out.SendPrepared(m) //nolint:errcheck // a client whose queue is full notices the end when it publishes or subscribes again
		}
	}
}

// History reads the history of a channel.
func (h *Hub) History(ctx context.Context, app, channel string, q HistoryQuery) (HistoryPage, error) {
	if err := checkName(channel); err != nil {
		return HistoryPage{}, err
	}
	if h.history == nil {
		return HistoryPage{}, ErrUnsupported
	}
	return h.history.History(ctx, ChannelOf(app, channel), q)
}

// Trim deletes the history of a channel up to and including an offset.
func (h *Hub) Trim(ctx context.Context, app, channel string, through uint64) error {
	if err := checkName(channel); err != nil {
		return err
	}
	if h.history == nil {
		return ErrUnsupported
	}
	return h.history.Trim(ctx, ChannelOf(app, channel), through)
}

// Snapshot reads a page of a keyed collection. See [Keyed]. To follow it, subscribe with the top of the first page as Since:
// changes that were made in the meantime are then sent again.
func (h *Hub) Snapshot(ctx context.Context, app, channel, cursor string, limit int) (ps []*Publication, next string, top Position, err error) {
	if err := checkName(channel); err != nil {
		return nil, "", Position{}, err
	}
	if h.keyed == nil {
		return nil, "", Position{}, ErrUnsupported
	}
	return h.keyed.Snapshot(ctx, ChannelOf(app, channel), cursor, limit)
}

// Occupied returns a page of the channels of an application that have subscribers, sorted by name. See [Hub.Subscribers].
func (h *Hub) Occupied(ctx context.Context, app, prefix, after string, limit int) (cs []Occupied, more bool, err error) {
	if h.occupancy == nil {
		return nil, false, ErrUnsupported
	}
	if after != "" {
		after = ChannelOf(app, after)
	}
	cs, more, err = h.occupancy.Occupied(ctx, ChannelOf(app, prefix), after, limit)
	if err == nil {
		cs, more = correctPage(h, cs, more, ChannelOf(app, prefix), after, limit)
	}
	for i := range cs {
		_, cs[i].Channel = SplitChannel(cs[i].Channel)
	}
	return cs, more, err
}

// Ack saves the position up to which a device has read a channel.
func (h *Hub) Ack(ctx context.Context, app, channel, device string, p Position) error {
	ps, ok := h.engine.(Positions)
	if !ok {
		return ErrUnsupported
	}
	return ps.SavePosition(ctx, ChannelOf(app, channel), device, p)
}

// Acked returns the position of the last Ack; nil if there was none.
func (h *Hub) Acked(ctx context.Context, app, channel, device string) (*Position, error) {
	ps, ok := h.engine.(Positions)
	if !ok {
		return nil, ErrUnsupported
	}
	return ps.Position(ctx, ChannelOf(app, channel), device)
}
