// Package gosdk tests Centrifugo's Go SDK, centrifuge-go, with the binary, and the binary's balancer with servers that use the
// centrifuge library. It is a separate module, so that the SDK's dependencies do not appear in any published go.mod.
package gosdk
