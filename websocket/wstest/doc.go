// Package wstest helps to test code that uses WebSockets, without a network and without waiting.
//
// [Pipe] returns two connected Conns in memory. [Peer] is the other end of a connection, which does exactly what a test specifies,
// valid or not: it sends any frame or any bytes, stays silent, or resets the connection. It can be connected to a Conn in memory
// ([PipePeer]), to a client that dials a test server ([AcceptPeer]), to a handler ([DialPeer]), or to any stream ([NewPeer]).
//
// The connections in memory work under testing/synctest: a goroutine that waits for one of them is durably blocked, so that fake
// time advances. Keepalive runs in fake time, too. Since a ping is always scheduled, a bubble is never reported as deadlocked: set
// ConnOptions.PingInterval to -1 in tests that are not about keepalive.
package wstest
