// Package bench itself contains only tests and benchmarks that compare package websocket with the other WebSocket libraries for Go.
// It is a separate module, which is never tagged, so that these libraries appear in no published go.mod.
//
// The servers that cmd/compare measures are in internal, and a test here runs every one of them in every mode.
//
// The interoperability tests connect it with gorilla/websocket and coder/websocket, with each side as the server, over TCP and over
// TLS. The benchmarks run all libraries over the same streams with the same bytes; README.md describes how to read them.
package bench
