// Package hub has the channels of a realtime server: clients subscribe and publish, members are present, and a client that was
// away gets what it missed. It knows no wire protocol, no authentication and no storage: a protocol gives it a [Codec] and
// sessions, the owner of a session gives it a function that allows or denies, and an [Engine] carries publications between
// nodes and keeps history. The engine in memory is in this package; every engine passes the tests in hub/enginetest.
//
// # Channels
//
// A channel belongs to an application and has a name. It is a stream of publications, each with an offset that is larger than
// the one before it, under an epoch that changes when the engine has lost the stream. [Position] is both. Offsets need not be
// dense: a [Publication] also has the offset of its predecessor, so a missing one is found when the next arrives, and is read
// from the history. What a namespace of channels may do, and what it keeps, is in a [Namespace], picked by the longest prefix.
//
// # What a subscriber gets
//
// [Session.Subscribe] with a position answers with what was published since, in order, and the publications that follow it are
// sent after that answer, without a gap or a duplicate between the two. If that is not possible, the answer says so and why
// ([ErrNewEpoch], [ErrTooOld]). Later, each subscriber gets every publication once and in order, or its subscription ends with
// [EndInsufficient], and the client subscribes again; or, where the namespace says so, it gets the latest of each key. A
// protocol without a message for that end has its clients closed if they were too slow, and accepts a gap in the engine. All that
// is true of channels with a history. In others publications have no offsets, and what an engine loses is not noticed.
//
// # Slow subscribers
//
// The Sender of a session has a bounded queue, with the policy [websocket.QueueDropNewest]. When it is full, the namespace's
// [SlowPolicy] counts for that subscriber alone; no other subscriber waits. The Receiver of the connection calls
// [Session.Drained] when its own Drained is called: then the hub sends the rest.
//
// # Presence
//
// Each node keeps its members in the engine under a lease that it renews, and each node with subscribers of a channel keeps
// the whole roster of it. A member is a user, however many connections it has: the first is the join and the last is the leave.
// When the lease of a node ends, its members leave on every other node.
//
// # Concurrency
//
// All methods of [Hub] and [Session] may be called from any goroutine. A publication, once published, is shared by all of its
// subscribers and must not be modified. The locks are taken in this order: a session's, a channel's, those of tables. A
// connection's lock is taken last; an engine is never called with any of them held.
package hub
