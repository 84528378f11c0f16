package client

import (
	"context"
	"crypto/rand"
	"encoding/json"

	"github.com/handfast/handfast/channels/wire"
)

// PublishOptions specifies how a message is published. nil and the zero value mean the defaults.
type PublishOptions struct {
	// Binary means that the data is a JSON string that contains bytes in base64.
	Binary bool

	// Event is the name of the event, and Tags are additional values.
	Event string
	Tags  map[string]string

	// MessageID makes publishing idempotent. "" means a random ID.
	MessageID string

	// Key is the key of a keyed collection that the message sets, or removes if Removed is set.
	Key     string
	Removed bool

	// NoEcho excludes this client's own subscription from the receivers.
	NoEcho bool
}

// Published is the result of publishing a message.
type Published = wire.Published

// Publish publishes a message, whose data is JSON, and returns when the server has accepted the message. opts may be nil. Until ctx is
// done, Publish waits for a connection, and tries again when the connection is lost; the message is still published only once. If the
// server does not accept the message, the error is an [*Error].
func (c *Client) Publish(ctx context.Context, channel string, data json.RawMessage, opts *PublishOptions) (Published, error) {
	var o PublishOptions
	if opts != nil {
		o = *opts
	}
	if o.MessageID == "" {
		o.MessageID = rand.Text()
	}
	cmd := &wire.Publish{
		Head: wire.Head{Type: "publish", Channel: channel}, Data: data, Binary: o.Binary, Event: o.Event, MessageID: o.MessageID,
		Key: o.Key, Removed: o.Removed, Tags: o.Tags,
	}
	if o.NoEcho {
		cmd.Echo = new(bool)
	}
	return doAs[Published](ctx, c, cmd)
}

// Page is a page of a channel's history, or of a keyed collection.
type Page = wire.Page

// HistoryOptions selects a part of a history.
type HistoryOptions struct {
	// Since is the position after which to begin or, with Reverse, before which. nil means the beginning or, with Reverse, the end.
	Since *Position

	// Limit is the maximum number of messages to return, at most 1000. 0 means none: the page contains only the position of the
	// channel.
	Limit int

	// Reverse returns the newest messages first.
	Reverse bool
}

// History returns a page of the history of a channel.
func (c *Client) History(ctx context.Context, channel string, o HistoryOptions) (Page, error) {
	return doAs[Page](ctx, c, &wire.History{
		Head: wire.Head{Type: "history", Channel: channel}, Since: o.Since, Limit: o.Limit, Reverse: o.Reverse,
	})
}

// Snapshot returns a page of a keyed collection, with the latest message of each key. after is "" for the first page, and the Next of the
// previous page for every other page. A limit of 0 means 100. To follow the collection, subscribe with the Position of the first page as
// Since.
func (c *Client) Snapshot(ctx context.Context, channel, after string, limit int) (Page, error) {
	return doAs[Page](ctx, c, &wire.Snapshot{Head: wire.Head{Type: "snapshot", Channel: channel}, After: after, Limit: limit})
}

// Roster is a page of the members of a channel.
type Roster = wire.Roster

// Members returns a page of the members of a channel. after is "" for the first page, and the Next of the previous page for every other
// page. A limit of 0 means 100.
func (c *Client) Members(ctx context.Context, channel, after string, limit int) (Roster, error) {
	return doAs[Roster](ctx, c, &wire.Members{Head: wire.Head{Type: "members", Channel: channel}, After: after, Limit: limit})
}

// Update changes the client's public data as a member of a channel, on this connection and later ones.
func (s *Subscription) Update(ctx context.Context, data json.RawMessage) error {
	s.client.mu.Lock()
	s.opts.Data = data
	s.client.mu.Unlock()
	_, err := s.client.do(ctx, &wire.Update{Head: wire.Head{Type: "update", Channel: s.Channel}, Data: data})
	return err
}

// Ack saves on the server that a device of the user has read all messages up to and including a position. A later subscription with the
// same [SubscribeOptions].Device, on any connection of the user, continues after that position. An acknowledgement of an earlier position
// has no effect. device is a name of at most 255 bytes that the application chooses; devices of different users are distinct even if they
// have the same name.
func (s *Subscription) Ack(ctx context.Context, device string, p Position) error {
	_, err := s.client.do(ctx, &wire.Ack{Head: wire.Head{Type: "ack", Channel: s.Channel}, Device: device, Position: p})
	return err
}

// doAs executes a command, and decodes the reply into a T.
func doAs[T any](ctx context.Context, c *Client, cmd wire.Command) (T, error) {
	var v T
	text, err := c.do(ctx, cmd)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	return v, err
}
