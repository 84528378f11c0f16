// Package balance runs the load balancer as an operator does: real servers of several kinds behind it, clients that stay connected, and
// everything that happens to servers.
package balance
