// Package gateway contains only tests, which run "handfast serve --config" as an operator would: with curl and the admin listener,
// signals, changing files, a Redis shared by two nodes, HAProxy and nginx in front, and thousands of slow clients.
package gateway
