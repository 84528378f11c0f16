// Package gateway contains only tests. They run "handfast serve --config" as an operator would: with curl and the admin listener,
// signals, changing files, a Redis that two nodes share, HAProxy and nginx as proxies, and thousands of slow clients.
package gateway
