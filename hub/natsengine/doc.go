// Package natsengine is an engine of package hub on NATS JetStream: on a [Server] inside the process, which joins others to a
// cluster, or on NATS servers elsewhere, of version 2.11 or later. It implements all that an engine can do.
//
// # What is stored where
//
// The stream PREFIX_LOG has the publications of all channels, one subject for each. It republishes what it stores, and a node
// subscribes to the republished subjects of the channels that it has. A publication's offset is its sequence in the stream, so
// offsets of a channel are not dense; its predecessor is the previous sequence of the subject, which the server adds to what it
// republishes. The epoch is the time at which the stream was made. Publications that are not kept take the same subjects without
// the stream.
//
// The stream PREFIX_STATE has the last message of each subject: members, leases, numbers of subscribers, claims, the latest
// publication of each key, positions of devices.
//
// # How much history is kept
//
// Limits of history belong to channels, those of JetStream to streams. So the stream only has a limit that covers the largest
// channel (Options.MaxHistory); each publication carries the limits of its channel, and a reader applies those of the last one.
// What is over them is removed later: by number, when a node has published that many again; by age, an hour after that. Until
// then a channel knows where it was. When everything in it is that old, its last offset is forgotten, and a client that comes
// back to it then learns that its position is of another epoch. A position before the first publication of a channel can be
// recovered from while that first one is kept. One case is not noticed: everything that a client missed has been forgotten, and
// the position it returns with is that of an empty channel.
//
// # Idempotency
//
// The server has the IDs of publications that are kept in memory; when it starts, it reads them from what is kept. Those of
// publications that are not kept are messages that end by themselves.
//
// A publication that is kept is sent again each second until it is acknowledged, because the server that it went to may have stopped.
// One without an ID has one of the call, so that it is stored once.
//
// # While there is no leader
//
// Every request that has no answer within a second, or one that says that the cluster has no leader, is sent again. A call that has met
// the end of the connection waits for the next one and begins again. Both end with the context of the call. A write to a server that
// takes nothing ends after three seconds, and the connection with it, because all calls wait for it.
//
// # What an acknowledgement promises
//
// Publish returns when the server has acknowledged. One server has then written the publication to its file: it survives the end
// of the process, kill -9 included. It survives a power failure if the server syncs each write ([Embedded.SyncAlways]; else up
// to two minutes are lost). In a cluster of three or more, two of three copies have it, and it survives the loss of a server.
// With one server or two there is one copy of each stream: the loss of that server's disk loses the history, and while it is
// down nothing can be published to channels with a history.
//
// # Loss on the way to a node
//
// Between servers, and from a server to a node that is too slow, NATS drops messages. In a channel with a history the next
// publication shows that; the hub then reads what is missing. The engine reports a gap when its connection was cut, when its own
// queue was full, when a message of another node's series is missing (each sends one twice a second) or the node was not heard
// for long, and when another node has ended. After the loss of such messages it reports the gap a second time, two seconds later: a
// server that was cut off may have answered the first reading with what it had. What is lost otherwise in a channel without a history
// is not noticed.
//
// # Members
//
// An entry is a message without an age, and a lease is a message that its node writes again before its time is over. When a node
// sees that a lease was not renewed in time, it writes that it has ended, on condition that the last message is still the one that
// it has seen. So a lease ends once, whichever node notices, and all nodes learn it from the same message. A node that hears nothing
// itself judges no other. While a stream has no leader no lease can be renewed: nodes that try say so in what they send twice a
// second, and keep their leases. Embedded servers choose a leader within 2.4 seconds; those elsewhere take four to nine by default,
// and the members of a lost node may be listed for that much longer.
package natsengine
