// Package load puts load on a WebSocket server and measures the cost for the server. It uses no WebSocket library: it writes frames
// that were built and masked in advance, from one thread that waits with epoll (over TLS from one goroutine for each connection),
// so that its own cost is small and the same for all servers.
//
// The package runs on Linux only.
package load
