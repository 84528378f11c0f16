// Package gosdk tests Centrifugo's Go SDK, centrifuge-go, with the binary, and servers that use the centrifuge library behind its
// balancer. It is a separate module, so that the SDK's dependencies do not appear in any published go.mod.
package gosdk
