// Package bench contains only tests and benchmarks, which compare package websocket with the other WebSocket libraries for Go. It
// is a separate, untagged module, so that these libraries do not appear in any published go.mod.
//
// The servers that cmd/compare measures are in internal/peers; a test in this package runs each of them in every mode.
//
// The interoperability tests connect package websocket with gorilla/websocket and coder/websocket, with each side as the server,
// over TCP and TLS. The benchmarks run all libraries over the same streams with the same bytes; README.md explains how to interpret
// the results.
package bench
