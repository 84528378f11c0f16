// Package centrifugo implements Centrifugo's client protocol, version 2, in JSON and in Protobuf, on the channels of a [hub.Hub]. It also
// implements Centrifugo's server API over HTTP. Centrifugo's client SDKs and backend libraries work with this server unchanged.
//
// Clients connect via WebSocket ([Server.Open]) or, if that is not possible, via an HTTP stream with a separate request for each
// group of commands ([Server.HTTPStream], [Server.SSE], [Server.Emulation]). [Server.API] is for the application.
//
// # Authentication and authorization
//
// A client is authenticated by its handshake, or by the token in its connect command: a JWT that is signed with the secret of the
// application. A channel whose name begins with $ requires a subscription token. Actions that a token allows are allowed; Client.Allow
// decides about all other actions.
//
// # Bad input
//
// A client that violates the protocol is closed with the corresponding code; commands that are not allowed or exceed the rate limit get an
// error of the protocol. A connection without a successful connect command is closed after ten seconds. The commands of a connection are
// executed one at a time, so the cost of a client is limited by one message and its subscriptions.
package centrifugo
