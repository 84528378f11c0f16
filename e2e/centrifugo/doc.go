// Package centrifugo runs Centrifugo's JavaScript SDK with the binary: in JSON and Protobuf, over WebSocket and its fallbacks, and
// together with clients of the other protocols. It needs "npm ci" in this folder. Its tests have the build tag e2e.
package centrifugo
