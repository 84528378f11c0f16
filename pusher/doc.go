// Package pusher speaks version 7 of the Pusher Channels protocol, so that the client and server SDKs of that protocol work with
// a hub: public, private, presence, cache and encrypted channels, client events, users that sign in, and the HTTP API by which
// an application publishes. It is Pusher-protocol compatible, and not a product of that name's owner.
//
// A [Server] is given a hub.Hub and applications. Its Open is for the Open of a websocket.Endpoint, whose connections run with
// [ConnOptions]; API is the handler of paths that begin with /apps/. The hub's namespaces come from [Namespaces].
//
// Channels of the protocol are channels of the hub with the same name, so clients of other protocols may use them, too; the
// channel #server-to-user-ID is the hub's channel of that user.
//
// # Bad input
//
// A message that is wrong or not allowed is answered with pusher:error or pusher:subscription_error, and the connection goes
// on. A client with more of them than any honest one has is closed with 4100, and so is a client that does not read. One message
// of a connection is carried out at a time, so what a client costs is bounded by one message and its subscriptions.
package pusher
