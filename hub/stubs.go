package hub

// The bodies in this file are being written.

import (
	"context"
)

// Hub has the channels of one node. New makes one.
type Hub struct {
	namespaces []*namespace
}

// New starts a hub. Close ends it.
func New(o Options) *Hub { return &Hub{namespaces: newNamespaces(o.Namespaces)} }

// Close ends the hub: sessions are closed with WhyShutdown, the node's members leave, and when it returns no goroutine of the
// hub is left. Nothing is sent after that.
func (h *Hub) Close() error { return nil }

// Ready returns nil if the engine works: it runs, and the last probe has come back.
func (h *Hub) Ready() error { return nil }

// Join adds a session. Leave removes it: the Receiver of the connection calls that when it is closed.
func (h *Hub) Join(c Client) (*Session, error) { return nil, ErrClosed }

// Publish publishes p in a channel, as a server does it: only the size is checked. p must not be modified any more. What o does
// not say, the namespace does; a negative History means that p is not kept. o may be nil.
func (h *Hub) Publish(ctx context.Context, app, channel string, p *Publication, o *PublishOptions) (Published, error) {
	return Published{}, ErrClosed
}

// History reads the history of a channel.
func (h *Hub) History(ctx context.Context, app, channel string, q HistoryQuery) (HistoryPage, error) {
	return HistoryPage{}, ErrClosed
}

// Trim drops the history of a channel up to an offset, that one included.
func (h *Hub) Trim(ctx context.Context, app, channel string, through uint64) error { return ErrClosed }

// Snapshot reads a page of a keyed collection. See [Keyed]. To follow it, subscribe with the top of the first page as Since: what
// has changed meanwhile comes again.
func (h *Hub) Snapshot(ctx context.Context, app, channel, cursor string, limit int) (ps []*Publication, next string, top Position, err error) {
	return nil, "", Position{}, ErrClosed
}

// Members returns a page of the members of a channel on all nodes, and how many there are. It needs no subscriber on this
// node.
func (h *Hub) Members(ctx context.Context, app, channel, cursor string, limit int) (ms []Member, next string, users int, err error) {
	return nil, "", 0, ErrClosed
}

// Occupied returns a page of the channels of an application that have subscribers. See [Occupancy].
func (h *Hub) Occupied(ctx context.Context, app, prefix, after string, limit int) (cs []Occupied, more bool, err error) {
	return nil, false, ErrClosed
}

// Do carries out a command on all nodes.
func (h *Hub) Do(ctx context.Context, c Command) error { return ErrClosed }

// Ack remembers that a device has read a channel up to a position: everything before it counts as read, too.
func (h *Hub) Ack(ctx context.Context, app, channel, device string, p Position) error {
	return ErrClosed
}

// Acked returns what Ack was called with last; nil if it was not.
func (h *Hub) Acked(ctx context.Context, app, channel, device string) (*Position, error) {
	return nil, ErrClosed
}

// CommandKind says what a Command does.
type CommandKind uint8

// The commands.
const (
	CommandDisconnect  CommandKind = iota // close the connections
	CommandUnsubscribe                    // end the subscriptions to Channel, or all of them if that is ""
)

// Command is carried out on every node, for the sessions that it fits.
type Command struct {
	// Kind is what to do.
	Kind CommandKind

	// App is the application.
	App string

	// User and Client are whose sessions; "" means any. One of them is required for a disconnect.
	User, Client string

	// Except is a client that is left alone. "" means none.
	Except string

	// Channel is the channel to unsubscribe from.
	Channel string

	// Why is what the clients get as the reason.
	Why Why
}

// Session is one client in the hub. Hub.Join makes one.
type Session struct {
	client Client
}

// Client returns who has joined.
func (s *Session) Client() Client { return s.client }

// SetUser says who the client is, when it has authenticated after it joined.
func (s *Session) SetUser(user string, data []byte) {}

// Subscribe subscribes to a channel. reply is called once, before anything of the channel is sent, and what is published from
// then on follows what it has sent; it must not wait and not call the session. An error of reply ends the subscription and is
// returned. Without an error of Subscribe, reply has been called.
func (s *Session) Subscribe(ctx context.Context, channel string, o SubscribeOptions, reply func(*Recovered) error) error {
	return ErrClosed
}

// Unsubscribe ends a subscription: nothing of the channel is sent after it has returned.
func (s *Session) Unsubscribe(channel string) error { return ErrNotSubscribed }

// Subscribed reports whether the session is subscribed to a channel.
func (s *Session) Subscribed(channel string) bool { return false }

// Subscriptions returns the names of its channels.
func (s *Session) Subscriptions() []string { return nil }

// Publish publishes p in a channel for the client: as far as Allow, the rate and the size permit it. Client, User and Info
// are set. p must not be modified any more. See [Hub.Publish].
func (s *Session) Publish(ctx context.Context, channel string, p *Publication, o *PublishOptions) (Published, error) {
	return Published{}, ErrClosed
}

// History reads the history of a channel, as far as Allow permits it.
func (s *Session) History(ctx context.Context, channel string, q HistoryQuery) (HistoryPage, error) {
	return HistoryPage{}, ErrClosed
}

// Snapshot reads a page of a keyed collection, as far as Allow permits to subscribe. See [Hub.Snapshot].
func (s *Session) Snapshot(ctx context.Context, channel, cursor string, limit int) (ps []*Publication, next string, top Position, err error) {
	return nil, "", Position{}, ErrClosed
}

// Members returns a page of the members of a channel, as far as Allow permits it. See [Hub.Members].
func (s *Session) Members(ctx context.Context, channel, cursor string, limit int) (ms []Member, next string, users int, err error) {
	return nil, "", 0, ErrClosed
}

// Update changes the session's data as a member of a channel.
func (s *Session) Update(ctx context.Context, channel string, data []byte) error {
	return ErrNotSubscribed
}

// Drained continues with what a full queue had no room for. The Receiver of the connection calls it when its own Drained is
// called. It does not wait.
func (s *Session) Drained() {}

// Leave ends the session: its subscriptions end and its members leave. It does not wait for the engine.
func (s *Session) Leave() {}

// Memory is an engine in memory. Several hubs of one process that share it are several nodes.
type Memory struct{}

// MemoryOptions says how a Memory works.
type MemoryOptions struct{}

// NewMemory makes an empty one.
func NewMemory(o MemoryOptions) *Memory { return &Memory{} }

// Node returns the engine of another node.
func (m *Memory) Node() Engine { return nil }

type counters struct{}
