// Package load puts load on a WebSocket server and measures what it costs the server. It uses no WebSocket library: it
// writes frames that were built and masked beforehand, from one thread that waits with epoll (over TLS from a goroutine
// for each connection), so that it costs all servers the same, and little.
//
// It runs on Linux only.
package load
