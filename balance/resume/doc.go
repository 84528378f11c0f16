// Package resume lets a connection continue on another server without its client noticing. A load balancer that carries WebSocket
// messages has a [Session] for each connection, which follows the messages of both sides. When the server is gone, the balancer
// connects to another server and gets the messages to send there from the session: the subscriptions with their positions, and the
// unanswered commands. From then on the session removes the messages that the client already has from those of the new server, and
// replaces the connection's ID with the one that the client knows.
//
// A session is exact or refuses: if it cannot be certain that no message is lost or duplicated, [Session.Resume] returns an error,
// and the connection is closed with 1012, so that the client reconnects on its own. A session never changes or withholds a message
// that it does not understand.
//
// Only the members of a channel are not exact: the list of the new server may be behind that of the previous one. The client then
// gets the earlier state of a member first, and the latest one as soon as the server has it.
//
// [New] supports these protocols:
//
//   - handfast.v1.json, for channels with a history. The session adds a message_id to a publication without one, so that it can be
//     repeated; it counts towards the size limit of the publication. It also adds an id to a command without one, to know when it
//     was executed; the client's reply has none.
//   - Centrifugo's client protocol, version 2, in JSON and in Protobuf, for subscriptions to streams with a history, without join
//     and leave messages. A publication cannot be repeated: a connection cannot continue while a publication or an RPC has no
//     reply.
//   - any protocol, if the operator declares that the servers keep no state for a connection.
//
// The package does no I/O, reads no clock and starts no goroutine.
package resume
