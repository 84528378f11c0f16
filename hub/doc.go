// Package hub implements the channels of a realtime server: subscriptions, publications, presence, and the recovery of missed
// publications. It has no wire protocol, authentication or storage: a protocol provides a [Codec] and sessions, the owner of a
// session provides a function that allows or denies actions, and an [Engine] distributes publications between nodes and keeps
// history. This package includes an in-memory engine; every engine passes the tests in hub/enginetest.
//
// # Channels
//
// A channel belongs to an application and has a name. It is a stream of publications with increasing offsets, in an epoch that changes when
// the engine has lost the stream. A [Position] is an epoch and an offset. Offsets need not be contiguous: a [Publication] also has the
// offset of its predecessor, so that a missing publication is detected when the next one arrives, and is read from the history. A
// [Namespace], selected by the longest prefix, has the settings of its channels.
//
// # Delivery to subscribers
//
// [Session.Subscribe] with a position replies with the publications since that position, in order. Later publications are sent after the
// reply, without a gap or a duplicate. If that is not possible, the reply contains the reason ([ErrNewEpoch], [ErrTooOld]). After the
// reply, each subscriber receives every publication once and in order, or its subscription ends with [EndInsufficient], and the client
// subscribes again. In a namespace with [SlowLatest], a slow subscriber instead receives the latest publication of each key. If a protocol
// has no message for [EndInsufficient], clients that were too slow are disconnected, and a gap caused by the engine remains. These
// guarantees apply to channels with a history. In other channels publications have no offsets, and losses of an engine are not detected.
//
// # Slow subscribers
//
// The Sender of a session has a bounded queue, with the policy [websocket.QueueDropNewest]. When it is full, the namespace's [SlowPolicy]
// applies to that subscriber; no other subscriber waits. The Receiver of the connection calls [Session.Drained] when its own Drained is
// called. The hub then sends the missed messages.
//
// # Presence
//
// Each node keeps its members in the engine under a lease that it renews, and has the complete roster of each channel for which it has
// subscribers. A member is a user with any number of connections. The member joins with the first connection and leaves with the end of the
// last one. When the lease of a node ends, its members leave on every other node.
//
// # Concurrency
//
// All methods of [Hub] and [Session] may be called from any goroutine. A publication, once published, is shared by all of its subscribers
// and must not be modified. The locks are acquired in this order: a session's, a table's, a channel's, a connection's. An engine is never
// called with any of these locks held.
package hub
