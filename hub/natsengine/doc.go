// Package natsengine is an engine for package hub on NATS JetStream: either on a [Server] in the process, which forms a cluster
// with others, or on external NATS servers of version 2.11 or later. It implements all optional interfaces except [hub.Batch].
//
// # Storage
//
// The stream PREFIX_LOG contains the publications of all channels, with one subject per channel. It republishes what it stores, and
// a node subscribes to the republished subjects of its channels. A publication's offset is its sequence in the stream, so the
// offsets of a channel are not contiguous; its predecessor is the previous sequence of the subject, which the server adds to
// republished messages. The epoch is the creation time of the stream. Publications that are not kept use the same subjects, but
// bypass the stream.
//
// The stream PREFIX_STATE contains the last message of each subject: members, leases, numbers of subscribers, claims, the latest
// publication of each key, and positions of devices.
//
// # Retention of the history
//
// History is limited per channel, but JetStream limits whole streams. So the stream only has a limit that suffices for the largest channel
// (Options.MaxHistory). Each publication carries the limits of its channel, and readers apply the limits of the last publication.
// Publications beyond the limits are removed later: publications beyond the maximum number when a node has published that number again, and
// publications beyond the maximum age an hour after they have reached it. When all publications of a channel have been removed because of
// their age, the last offset of the channel is forgotten, and a client that reconnects is notified that its position is of another epoch.
// Recovery from a position before the first publication of a channel works as long as that publication is kept. One loss is not detected: a
// client with the position of an empty channel has missed only publications that were forgotten.
//
// # Idempotency
//
// The server keeps the IDs of stored publications in memory; when it starts, it reads them from the stream. The IDs of publications
// that are not kept are stored as messages that expire.
//
// A publication that is kept is sent again every second until it is acknowledged, because the server that received it may have stopped. A
// publication without an ID gets one from the call, so that it is stored only once.
//
// # Operation without a leader
//
// A request is sent again if it has no reply within a second, or if the reply reports that the cluster has no leader. A call that is
// interrupted by the loss of the connection waits for the next connection and starts again. Both kinds of retries end with the context of
// the call. A write to a server that does not read fails after three seconds, and closes the connection, because all calls wait for that
// write.
//
// # Guarantees of an acknowledgement
//
// Publish returns when the server has acknowledged the publication. A single server has then written it to a file, so it survives the end
// of the process, even by kill -9. It survives a power failure if the server syncs each write ([Embedded.SyncAlways]); otherwise up to two
// minutes are lost. In a cluster of three or more, two of three replicas have stored the publication, and it survives the loss of a server.
// With one server or two, each stream has a single replica: the loss of that server's disk loses the history, and while the server is down
// nothing can be published to channels with a history.
//
// # Loss between the server and a node
//
// Between servers, and from a server to a slow node, NATS may drop messages. In a channel with a history the next publication reveals the
// loss, and the hub reads the missing publications. The engine reports a gap when its connection was lost, when its own queue was full,
// when one of the messages that every node sends twice a second is missing or a node was silent for a long time, and when another node has
// ended. After missing messages it reports the gap a second time, two seconds later: a server that was disconnected may have answered the
// first read with old data. In a channel without a history, other losses are not detected.
//
// # Members
//
// An entry is a message without an expiry, and a lease is a message that its node must write again before its TTL has passed. When a node
// sees that a lease was not renewed in time, it writes that the lease has ended, on the condition that the last message is still the one it
// has seen. So a lease ends only once, whichever node ends it, and all nodes are notified by the same message. A node that does not receive
// its own messages does not end the leases of others. While a stream has no leader, no lease can be renewed. The messages that every node
// sends twice a second then contain the leases that it is trying to renew, and the other nodes do not end those leases. Embedded servers
// elect a leader within 2.4 seconds; external ones take four to nine seconds by default, and the members of a lost node may be listed for
// that much longer.
package natsengine
