// Package bench itself holds only tests and benchmarks: package websocket beside the other WebSocket libraries for Go.
// It is a module of its own, and never tagged, so that they appear in no published go.mod.
//
// The servers that cmd/compare measures are under internal, and a test here runs every one of them in every mode.
//
// The interop tests connect it with gorilla/websocket and coder/websocket, each side in turn the server, over TCP and
// over TLS. The benchmarks run all libraries over the same streams with the same bytes; README.md says how to read them.
package bench
