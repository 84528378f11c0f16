// Package centrifugo speaks the client protocol of Centrifugo, version 2, in JSON and in Protobuf, over the channels of a
// [hub.Hub], so that the client SDKs of that ecosystem work with this server unchanged; and its server API over HTTP, so that
// its backend libraries do.
//
// Clients come over a WebSocket ([Server.Open]) or, where that is not possible, over a stream of HTTP with a request for each
// thing they say ([Server.HTTPStream], [Server.SSE], [Server.Emulation]). [Server.API] is for the application.
//
// # Who may do what
//
// A client is known from its handshake, or from the token in its connect command: a JWT signed with the secret of the
// application. A channel whose name begins with $ needs a subscription token. What a token allows is allowed; everything else
// is asked of Client.Allow.
//
// # Bad input
//
// What a client must not send closes its connection with the code of the protocol; what is not allowed or too much gets the
// protocol's error. A connection without a successful connect command is closed after ten seconds. One command of a
// connection is carried out at a time, so what a client costs is bounded by one message and its subscriptions.
package centrifugo
