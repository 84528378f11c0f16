package hub

import (
	"context"
	"errors"
	"time"
)

// Errors of engines and of recovery.
var (
	// ErrNewEpoch indicates that the stream of a position is lost.
	ErrNewEpoch = errors.New("hub: the stream has begun anew since that position")

	// ErrTooOld indicates that some publications since a position are no longer kept.
	ErrTooOld = errors.New("hub: the history does not reach back to that position")

	// ErrConflict indicates that PublishOptions.Expect does not match.
	ErrConflict = errors.New("hub: the channel has another last offset than expected")

	// ErrLeaseEnded indicates that a lease has ended permanently: the node needs a new one.
	ErrLeaseEnded = errors.New("hub: the lease has ended")

	// ErrUnsupported indicates that the engine does not support the operation.
	ErrUnsupported = errors.New("hub: the engine does not support this")
)

// Engine carries publications from node to node. Each node has its own Engine value, and those of one cluster share a server
// or a store behind it. What else an engine can do, it says by implementing [History], [Batch], [Keyed], [Presence], [Occupancy],
// [Broadcast], [Probe] or [Positions].
//
// All methods may be called from any goroutine, before Run is connected, too: then they wait for it or for their context.
type Engine interface {
	// Run connects the engine and delivers to s until ctx ends. It reconnects by itself, keeps its subscriptions across
	// that, and reports with [Sink.Gap] that something may have been missed. It returns an error when it cannot go on; the hub
	// then calls it again after a pause, subscribes to every channel again and assumes a gap in each.
	Run(ctx context.Context, s Sink) error

	// Subscribe has publications of channels delivered, and members and changes of keys with them. When it returns, everything
	// published from then on will be delivered. To be subscribed already is not an error.
	Subscribe(ctx context.Context, channels ...string) error

	// Unsubscribe ends that. What is under way may still be delivered.
	Unsubscribe(ctx context.Context, channels ...string) error

	// Publish publishes p on all nodes, this one included. When it returns, the history has p, if it is to be kept. The
	// engine may keep p and set its position; the caller does not modify it any more.
	Publish(ctx context.Context, channel string, p *Publication, o PublishOptions) (Published, error)
}

// Sink is where an Engine delivers to: the hub of its node. Its methods do not wait for clients or for the engine. They may send
// to clients on the caller's goroutine, so the engine holds no lock meanwhile that its own methods need. Calls for one channel
// do not overlap.
type Sink interface {
	// Deliver hands over publications of a channel, in the order of their offsets. An engine that has several hands them over
	// together: then they leave together. A publication that was delivered already is ignored.
	Deliver(channel string, ps []*Publication)

	// Members hands over changed entries of a channel, in the order of their versions as far as one client is concerned.
	Members(channel string, es []Entry)

	// LeaseEnded says that the node with this lease has ended, or was away for too long: all of its entries are gone. It is
	// called on every node, once the lease has ended, and a lease ends once.
	LeaseEnded(lease string)

	// Command hands over a command of [Broadcast].
	Command(c Command)

	// Gap says that something may have been missed in these channels, or in all of them if none are named, commands and
	// ends of leases excepted: those the engine asks for by itself when it is back.
	Gap(channels ...string)
}

// Idempotency is how long every engine remembers the ID of a publication: within that time another publication with the same ID
// in the channel is a Duplicate.
const Idempotency = 5 * time.Minute

// PublishOptions says what is kept of a publication.
type PublishOptions struct {
	// History is how many publications of the channel are kept, this one included. 0 means that this one is not kept; unless an
	// engine keeps offsets without a history, it then has the offset 0.
	History int

	// HistoryAge is how long they are kept. 0 means as long as the engine keeps anything.
	HistoryAge time.Duration

	// Expect is what the last offset of the channel must be, else nothing is published and the error is ErrConflict. nil means
	// any. It needs History.
	Expect *uint64

	// KeyTTL is how long a key is kept after it was last set. Then it is removed, which is published once. 0 means forever.
	KeyTTL time.Duration

	// Record says that this is a record of a server, not data of clients: the size and expiry of the namespace do not apply. An
	// engine ignores it.
	Record bool
}

// Published is what became of a publication.
type Published struct {
	// Position is that of the publication; of the first one, if this was a repetition.
	Position

	// Duplicate says that a publication with this ID was there already.
	Duplicate bool
}

// History is implemented by engines that keep publications.
type History interface {
	// History returns a page of a channel's history. Its error is not about positions: those are in the page.
	History(ctx context.Context, channel string, q HistoryQuery) (HistoryPage, error)

	// Trim drops the publications of a channel up to an offset, that one included.
	Trim(ctx context.Context, channel string, through uint64) error
}

// Batch is implemented by engines with a high latency compared with the cost of a publication.
type Batch interface {
	// PublishAll publishes ps, which have no IDs or keys, atomically and consecutively: all or none. o.Expect applies to the
	// first. It returns the position of the last; with ErrConflict that of the channel. Otherwise it behaves as Publish.
	PublishAll(ctx context.Context, channel string, ps []*Publication, o PublishOptions) (last Position, err error)
}

// HistoryQuery says what to read of a history.
type HistoryQuery struct {
	// Since is the position after which to start. nil means the start of the history, or with Reverse its end.
	Since *Position

	// Limit is the most publications to return. 0 means none: only where the channel is. A negative value means all.
	Limit int

	// Bytes is how many bytes of publications to return at most, except for the first one. 0 means PageBytes; with a negative value
	// there is no limit.
	Bytes int

	// Reverse returns the newest first, those before Since.
	Reverse bool
}

// HistoryPage is a part of a channel's history.
type HistoryPage struct {
	// Publications are in order, with their Previous set, except for the first of a page. Expired ones may be missing. If there is
	// one behind those that Limit and Bytes allow, the next page has it: the one since the last of these.
	Publications []*Publication

	// Top is where the channel was when the page was read. The epoch is never empty: a channel that is not known begins its
	// epoch when it is asked for, or has that of the engine.
	Top Position

	// Err is nil, or why the page does not begin directly behind Since: ErrNewEpoch or ErrTooOld. A Since that is beyond Top
	// is one of another epoch.
	Err error
}

// Keyed is implemented by engines that keep the latest publication of each key. They do that for every publication with a Key.
type Keyed interface {
	// Snapshot returns a page of a collection in an order of the engine's own: up to limit latest publications of keys, and
	// PageBytes. cursor is "" for the first page and next of the page before; next is "" after the last page. top is where the channel was before
	// the page was read.
	Snapshot(ctx context.Context, channel, cursor string, limit int) (ps []*Publication, next string, top Position, err error)
}

// Entry is one connection in the roster of a channel.
type Entry struct {
	// Lease is that of the node which the connection is on.
	Lease string

	// Client and User name the connection and the user. A user with several connections is one member.
	Client, User string

	// Data is what the member shows to others. May be nil.
	Data []byte

	// Version orders the entries of one client in one channel: the largest counts.
	Version uint64

	// Gone says that the connection is not a member any more.
	Gone bool
}

// Presence is implemented by engines that keep who is in a channel.
type Presence interface {
	// Lease takes a lease for ttl or renews it. When a node has not renewed its lease in time, the lease ends: its entries are
	// gone, every node gets LeaseEnded, and Lease returns ErrLeaseEnded.
	Lease(ctx context.Context, lease string, ttl time.Duration) error

	// Release ends a lease now.
	Release(ctx context.Context, lease string) error

	// Put stores entries, or removes those that are Gone, and hands them to every subscribed node, this one included. The
	// hub has one Put under way for a channel, so those of one client arrive in order. An entry whose version is not larger than
	// the stored one is ignored. The error is ErrLeaseEnded when that has happened to the entries' lease.
	Put(ctx context.Context, channel string, es ...Entry) error

	// Entries returns a page of the entries of a channel in an order of the engine's own, without those of leases that have
	// ended. cursor is "" for the first page and next of the page before; next is "" after the last page. A limit is a hint, and so is
	// PageBytes.
	Entries(ctx context.Context, channel, cursor string, limit int) (es []Entry, next string, err error)

	// Claim reports whether the caller is the first to claim key within ttl: of several nodes, one reports the end of a lease.
	Claim(ctx context.Context, key string, ttl time.Duration) (bool, error)
}

// Occupied is how many subscribers a channel has.
type Occupied struct {
	// Channel is the engine's channel.
	Channel string

	// Subscribers is their number.
	Subscribers int
}

// Occupancy is implemented by engines that know on all nodes which channels have subscribers. It uses the leases of [Presence].
type Occupancy interface {
	// Occupy stores how many subscribers the node with this lease has in channels. 0 removes a channel.
	Occupy(ctx context.Context, lease string, cs []Occupied) error

	// Occupied returns a page of the channels that begin with prefix, in the order of their names, those behind after, with
	// their subscribers on all nodes. more reports whether there are further ones.
	Occupied(ctx context.Context, prefix, after string, limit int) (cs []Occupied, more bool, err error)
}

// Probe is implemented by engines that can find out whether they work.
type Probe interface {
	// Probe publishes through the engine and waits until this node has received it.
	Probe(ctx context.Context) error
}

// Broadcast is implemented by engines that can reach the hub of every node.
type Broadcast interface {
	// Broadcast hands c to the hub of every node, this one included.
	Broadcast(ctx context.Context, c Command) error
}

// PositionKept is the minimum time for which an engine remembers the position of a device, unless it has no room.
const PositionKept = 30 * 24 * time.Hour

// Positions is implemented by engines that remember how far a device has read a channel.
type Positions interface {
	// SavePosition remembers p, unless a later position of the same epoch is there already.
	SavePosition(ctx context.Context, channel, device string, p Position) error

	// Position returns what was saved; nil if nothing was.
	Position(ctx context.Context, channel, device string) (*Position, error)
}
