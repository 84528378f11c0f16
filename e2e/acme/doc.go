// Package acme holds the tests of ACME against a real CA, pebble, which runs inside of them. It is a module of its own so
// that what pebble requires appears in no published go.mod.
package acme
