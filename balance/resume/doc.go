// Package resume lets a connection go on at another server without its client noticing. A load balancer that carries WebSocket
// messages has a [Session] for each connection, which follows what both sides say. When the server is gone, the balancer
// connects to another one and asks the session what must be said there: the subscriptions since their positions, and the
// commands that have no reply yet. The session then removes from what the new server sends whatever the client has already, and gives
// the connection the name that the client knows.
//
// A session is exact or refuses: where it cannot know that nothing is lost and nothing doubled, [Session.Resume] returns an error, and
// the connection is closed with 1012, so that the client returns by itself. It never changes or stops a message that it does not
// understand.
//
// [New] has sessions for these protocols:
//
//   - handfast.v1.json, for channels that have a history. A publication without a message_id gets one from the session, so that it can be
//     sent again; it counts for the size of the publication. A command without an id gets one, too, so that the session knows when it was
//     carried out; its reply has none.
//   - Centrifugo's client protocol, version 2, in JSON and in Protobuf, for subscriptions to streams that have a history, without joins and
//     leaves. It has no way to send a publication twice: a connection cannot go on while a publication or a call is without its reply.
//   - any protocol, where the operator says that the servers keep no state of a connection.
//
// The package does no I/O, reads no clock and starts no goroutine.
package resume
