// Package acme contains tests of ACME with a real CA, pebble, which runs inside the tests. It is a separate module, so that
// pebble's dependencies do not appear in any published go.mod.
package acme
