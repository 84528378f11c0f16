package hub

import (
	"context"
	"errors"
	"time"
)

// Errors of engines and of recovery.
var (
	// ErrNewEpoch indicates that the stream of a position is lost.
	ErrNewEpoch = errors.New("hub: the stream has restarted since that position")

	// ErrTooOld indicates that some publications after a position are no longer kept.
	ErrTooOld = errors.New("hub: the history does not reach back to that position")

	// ErrConflict indicates that PublishOptions.Expect does not match.
	ErrConflict = errors.New("hub: the last offset of the channel is not the expected one")

	// ErrLeaseEnded indicates that a lease has ended permanently: the node needs a new one.
	ErrLeaseEnded = errors.New("hub: the lease has ended")

	// ErrUnsupported indicates that the engine does not support the operation.
	ErrUnsupported = errors.New("hub: the engine does not support this")
)

// Engine carries publications from node to node. Each node has its own Engine value, and the values of one cluster share a server
// or a store. An engine offers additional features by implementing [History], [Batch], [Keyed], [Presence], [Occupancy], [Broadcast],
// [Probe] or [Positions].
//
// All methods may be called from any goroutine. Before Run has connected, a call waits for the connection or for the end of its context.
type Engine interface {
	// Run connects the engine and delivers to s until ctx is done. It reconnects by itself without losing subscriptions, and calls
	// [Sink.Gap] when messages may have been missed. It returns an error when it cannot continue; after a pause the hub calls it again,
	// subscribes to every channel again and assumes a gap in each.
	Run(ctx context.Context, s Sink) error

	// Subscribe starts the delivery of the publications of channels, and of changes of their members and keys. When it returns, all
	// messages published from then on will be delivered. Subscribing again is not an error.
	Subscribe(ctx context.Context, channels ...string) error

	// Unsubscribe stops the delivery. Publications that are in transit may still be delivered.
	Unsubscribe(ctx context.Context, channels ...string) error

	// Publish publishes p on all nodes, including this one. When it returns, the history contains p, if p is to be kept. The engine may
	// keep p and set its position; the caller must not modify p afterwards.
	Publish(ctx context.Context, channel string, p *Publication, o PublishOptions) (Published, error)
}

// Sink receives the deliveries of an Engine: it is the hub of the engine's node. Its methods do not wait for clients or for the engine.
// They may send to clients on the caller's goroutine, so the engine must not hold a lock that the engine's methods need. Calls for one
// channel do not overlap.
type Sink interface {
	// Deliver delivers publications of a channel, in the order of their offsets. An engine should pass publications that it has received
	// together in one call, so that the hub sends them together. A publication that was already delivered is ignored.
	Deliver(channel string, ps []*Publication)

	// Members delivers changed entries of a channel. The entries of one client are in the order of their versions.
	Members(channel string, es []Entry)

	// LeaseEnded reports that the lease of a node has ended, because the node has stopped or was unreachable for too long: all entries
	// under the lease are removed. LeaseEnded is called on every node, once for each lease.
	LeaseEnded(lease string)

	// Command delivers a command of [Broadcast].
	Command(c Command)

	// Gap reports that messages may have been missed in these channels, or in all of them if none are named. The engine need not report
	// missed commands and ends of leases, because it requests them itself when it has reconnected.
	Gap(channels ...string)
}

// Idempotency is how long every engine remembers the ID of a publication: within that time another publication with the same ID in
// the same channel is a Duplicate.
const Idempotency = 5 * time.Minute

// PublishOptions specifies how a publication is kept.
type PublishOptions struct {
	// History is the number of publications of the channel that are kept, including the published one. 0 means that the published one is
	// not kept. Its offset is then 0, unless the engine assigns offsets even without a history.
	History int

	// HistoryAge is how long publications are kept. 0 means as long as the engine keeps any data.
	HistoryAge time.Duration

	// Expect is the required last offset of the channel. If the channel has another last offset, nothing is published and the error is
	// ErrConflict. nil means any. Expect requires History.
	Expect *uint64

	// KeyTTL is how long a key is kept after it was last set. Then it is removed, and the removal is published once. 0 means
	// forever.
	KeyTTL time.Duration

	// Record marks a record of a server, as opposed to data of clients. The namespace's limits on size and expiry do not apply to it. An
	// engine ignores it.
	Record bool
}

// Published is the result of publishing.
type Published struct {
	// Position is the position of the publication; for a duplicate, that of the original.
	Position

	// Duplicate reports whether a publication with this ID had been published already.
	Duplicate bool
}

// History is implemented by engines that keep publications.
type History interface {
	// History returns a page of a channel's history. Errors that concern a position are in the page, not in err.
	History(ctx context.Context, channel string, q HistoryQuery) (HistoryPage, error)

	// Trim deletes the publications of a channel up to and including an offset.
	Trim(ctx context.Context, channel string, through uint64) error
}

// Batch is implemented by engines whose latency is high compared with the cost of a publication.
type Batch interface {
	// PublishAll publishes ps, which must not have IDs or keys, atomically and consecutively: all of them or none. o.Expect applies to the
	// first of ps. The returned position is that of the last of ps or, with ErrConflict, that of the channel. In all other respects
	// PublishAll behaves like Publish.
	PublishAll(ctx context.Context, channel string, ps []*Publication, o PublishOptions) (last Position, err error)
}

// HistoryQuery selects a part of a history.
type HistoryQuery struct {
	// Since is the position after which to start. nil means the start of the history, or its end if Reverse is set.
	Since *Position

	// Limit is the maximum number of publications to return. 0 means none: the page then contains only the position of the channel.
	// A negative value means all.
	Limit int

	// Bytes is the maximum total size of the returned publications; the first one is returned regardless of its size. 0 means
	// PageBytes; a negative value means no limit.
	Bytes int

	// Reverse returns the publications before Since, newest first.
	Reverse bool
}

// HistoryPage is a part of a channel's history.
type HistoryPage struct {
	// Publications are in order, with Previous set except in the first publication of a page. Expired publications may be missing. If Limit
	// or Bytes has cut the page short, the next page starts after the last of these publications.
	Publications []*Publication

	// Top is the position of the channel when the page was read. The epoch is never empty: a channel that does not exist gets its
	// epoch when it is first read, or has that of the engine.
	Top Position

	// Err is nil, or the reason why the page does not begin directly after Since: ErrNewEpoch or ErrTooOld. A Since beyond Top is
	// treated as a position of another epoch.
	Err error
}

// Keyed is implemented by engines that keep, for each key, the latest publication with that Key.
type Keyed interface {
	// Snapshot returns a page of a collection, in an order that the engine chooses: at most limit of the latest publications of keys, and
	// at most PageBytes. cursor is "" for the first page; for every other page it is the value of next from the previous call. next is ""
	// if there are no more pages. top is the position of the channel before the page was read.
	Snapshot(ctx context.Context, channel, cursor string, limit int) (ps []*Publication, next string, top Position, err error)
}

// Entry is one connection in the roster of a channel.
type Entry struct {
	// Lease is the lease of the node that has the connection.
	Lease string

	// Client and User identify the connection and the user. A user with several connections is one member.
	Client, User string

	// Data is the member's public data. May be nil.
	Data []byte

	// Version orders the entries of one client in one channel: the largest one is current.
	Version uint64

	// Gone reports that the connection is no longer a member.
	Gone bool
}

// Presence is implemented by engines that keep the rosters of channels.
type Presence interface {
	// Lease acquires a lease for ttl or renews it. When a node has not renewed its lease in time, the lease ends: its entries are
	// removed, LeaseEnded is called on every node, and Lease returns ErrLeaseEnded.
	Lease(ctx context.Context, lease string, ttl time.Duration) error

	// Release ends a lease immediately.
	Release(ctx context.Context, lease string) error

	// Put stores entries, or removes those with Gone, and delivers them to every subscribed node, including this one. The hub does not call
	// Put concurrently for one channel, so the entries of one client arrive in order. An entry whose version is not larger than the stored
	// one is ignored. The error is ErrLeaseEnded if the lease of an entry has ended.
	Put(ctx context.Context, channel string, es ...Entry) error

	// Entries returns a page of the entries of a channel, in an order that the engine chooses, without those whose lease has ended. cursor
	// is "" for the first page; for every other page it is the value of next from the previous call. next is "" if there are no more pages.
	// limit and PageBytes are hints.
	Entries(ctx context.Context, channel, cursor string, limit int) (es []Entry, next string, err error)

	// Claim reports whether the caller is the first to claim key within ttl. It is used so that only one of several nodes reports the end
	// of a lease.
	Claim(ctx context.Context, key string, ttl time.Duration) (bool, error)
}

// Occupied is the number of subscribers of a channel.
type Occupied struct {
	// Channel is the channel's name in the engine.
	Channel string

	// Subscribers is the number of subscribers.
	Subscribers int
}

// Occupancy is implemented by engines that know which channels have subscribers on any node. It uses the leases of [Presence].
type Occupancy interface {
	// Occupy stores the numbers of the channels' subscribers on the node with this lease. 0 removes a channel.
	Occupy(ctx context.Context, lease string, cs []Occupied) error

	// Occupied returns a page of the channels whose name begins with prefix and sorts after the name after, with the number of their
	// subscribers on all nodes. The page is sorted by name. more reports whether there are further channels.
	Occupied(ctx context.Context, prefix, after string, limit int) (cs []Occupied, more bool, err error)
}

// Probe is implemented by engines that can check whether they work.
type Probe interface {
	// Probe publishes through the engine and waits until this node has received it.
	Probe(ctx context.Context) error
}

// Broadcast is implemented by engines that can reach the hub of every node.
type Broadcast interface {
	// Broadcast delivers c to the hub of every node, including this one.
	Broadcast(ctx context.Context, c Command) error
}

// PositionKept is the minimum time for which an engine remembers the position of a device, unless it runs out of space.
const PositionKept = 30 * 24 * time.Hour

// Positions is implemented by engines that store the position up to which a device has read a channel.
type Positions interface {
	// SavePosition saves p, unless a later position of the same epoch is already saved.
	SavePosition(ctx context.Context, channel, device string, p Position) error

	// Position returns the saved position; nil if there is none.
	Position(ctx context.Context, channel, device string) (*Position, error)
}
