// Package hub implements the channels of a realtime server: subscriptions, publications, presence, and the recovery of missed
// publications. It has no wire protocol, authentication or storage: a protocol provides a [Codec] and sessions, the owner of a
// session provides a function that allows or denies actions, and an [Engine] distributes publications between nodes and keeps
// history. This package includes the engine in memory; every engine passes the tests in hub/enginetest.
//
// # Channels
//
// A channel belongs to an application and has a name. It is a stream of publications with increasing offsets, under an epoch
// that changes when the engine has lost the stream. A [Position] is both. Offsets need not be dense: a [Publication] also has
// the offset of its predecessor, so that a missing one is detected when the next arrives, and is read from the history. A
// [Namespace], selected by the longest prefix, has the settings of its channels.
//
// # What a subscriber gets
//
// [Session.Subscribe] with a position answers with what was published since, in order, and the publications that follow it are
// sent after that answer, without a gap or a duplicate between the two. If that is not possible, the answer says so and why
// ([ErrNewEpoch], [ErrTooOld]). Later, each subscriber gets every publication once and in order, or its subscription ends with
// [EndInsufficient], and the client subscribes again; or, depending on the namespace, it gets the latest of each key. If a
// protocol has no message for that end, its clients are disconnected if they were too slow, and it accepts a gap in the engine.
// This applies to channels with a history. In others publications have no offsets, and losses of an engine are not detected.
//
// # Slow subscribers
//
// The Sender of a session has a bounded queue, with the policy [websocket.QueueDropNewest]. When it is full, the namespace's
// [SlowPolicy] applies to that subscriber; no other subscriber waits. The Receiver of the connection calls [Session.Drained]
// when its own Drained is called: then the hub sends the rest.
//
// # Presence
//
// Each node keeps its members in the engine under a lease that it renews, and each node with subscribers of a channel keeps its
// complete roster. A member is a user with any number of connections: the first one is the join and the last one the leave.
// When the lease of a node ends, its members leave on every other node.
//
// # Concurrency
//
// All methods of [Hub] and [Session] may be called from any goroutine. A publication, once published, is shared by all of its
// subscribers and must not be modified. The locks are taken in this order: a session's, a channel's, those of tables. A
// connection's lock is taken last; an engine is never called with any of them held.
package hub
