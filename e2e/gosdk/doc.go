// Package gosdk holds the tests of the Go SDK of Centrifugo, centrifuge-go, against the binary, and of
// servers of the library centrifuge behind its balancer. It is a module of its own so that
// what the SDK requires appears in no published go.mod.
package gosdk
