// Package centrifugo runs the JavaScript SDK of Centrifugo against the binary: in JSON and Protobuf, over WebSocket and its
// fallbacks, and beside clients of the other protocols. It needs "npm ci" in this folder. Its tests have the build tag e2e.
package centrifugo
