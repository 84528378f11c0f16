// Package balance runs the load balancer as an operator does: real servers of several kinds behind it, clients that stay connected, and
// everything that happens to servers. The short form runs with the other tests; "make drill" runs the long one and writes
// docs/balance-drill.md.
package balance
