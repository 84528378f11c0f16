// Package wstest helps to test code that speaks WebSocket, without a network and without waiting.
//
// [Pipe] returns two connected Conns in memory. [Peer] is the other end of a connection that does only what a test says,
// right or wrong: any frame, any bytes, silence, a reset. It is behind a Conn in memory ([PipePeer]), behind a
// client that dials a test server ([AcceptPeer]), in front of a handler ([DialPeer]), or on any stream ([NewPeer]).
//
// All that is in memory works under testing/synctest: a goroutine that waits in it is durably blocked, so that fake time goes on.
// The Conns' keepalive goes on with it, and with a ping always to come a bubble is never found to be deadlocked: set
// ConnOptions.PingInterval to -1 where a test is not about keepalive.
package wstest
