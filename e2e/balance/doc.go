// Package balance tests the load balancer as an operator runs it: with servers of several kinds, clients that stay connected, and
// servers that are restarted, killed, added or faulty. The short form runs with the other tests; "make drill" runs the long form and writes
// docs/balance-drill.md.
package balance
