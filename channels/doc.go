// Package channels speaks handfast.v1.json: the plain protocol for clients that have only a WebSocket. They subscribe, publish,
// recover what they have missed, and see who is there. docs/channels-protocol.md describes each message; package wire has them.
//
// A [Server] is given a [hub.Hub] and returns a function for the Open of a [websocket.Endpoint]. The connections run with
// [ConnOptions].
//
// # Bad input
//
// A command that is wrong, not allowed or too much gets an error with a code of its own, and the connection goes on. A client
// with more failed commands than any honest one has is closed with 1008. One command of a connection is carried out at a time,
// so what a client costs is bounded by one message and its subscriptions. A client that does not read its replies is closed
// with 4408.
package channels
