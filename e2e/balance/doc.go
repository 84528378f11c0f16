// Package balance runs the load balancer as an operator does: with real servers of several kinds, clients that stay connected, and
// all kinds of events on the servers' side. The short form runs with the other tests; "make drill" runs the long form and writes
// docs/balance-drill.md.
package balance
