// Package pusher implements version 7 of the Pusher Channels protocol, so that its client and server SDKs work with a hub: public,
// private, presence, cache and encrypted channels, client events, user authentication, and the HTTP API with which an application
// publishes. It is compatible with the Pusher protocol, but it is not a product of Pusher.
//
// A [Server] needs a hub.Hub and applications. [Server.Open] returns the Open function of a websocket.Endpoint, whose connections
// must use [ConnOptions]. [Server.API] returns the handler of paths that begin with /apps/. The hub's namespaces must come from
// [Namespaces].
//
// Channels of the protocol are channels of the hub with the same names, so clients of other protocols can use them, too. The
// channel #server-to-user-ID is the hub's channel of that user.
//
// # Bad input
//
// The reply to a message that is not valid or not allowed is pusher:error or pusher:subscription_error, and the connection
// continues. A client with more errors than a correct client can cause is closed with 4100, and so is a client that does not read.
// The messages of a connection are processed one at a time, so the cost of a client is limited by one message and its
// subscriptions.
package pusher
