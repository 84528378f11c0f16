// Package channels implements handfast.v1.json: a simple protocol for clients that only need a WebSocket. They subscribe, publish,
// recover missed messages, and list the members of channels. docs/channels-protocol.md describes each message; package wire defines
// them.
//
// A [Server] uses a [hub.Hub], and returns a function for the Open of a [websocket.Endpoint]. The connections must use
// [ConnOptions].
//
// # Bad input
//
// A command that is invalid, not allowed or over a limit gets an error with a specific code, and the connection continues. A client
// with more failed commands than a correct client can cause is closed with 1008. The commands of a connection are executed one at a
// time, so the cost of a client is limited by one message and its subscriptions. A client that does not read its replies is closed
// with 4408.
package channels
