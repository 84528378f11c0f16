// Package gateway has no code: its tests run "handfast serve --config" as an operator would, with curl at its admin
// listener, signals, files that change, a Redis that two nodes share, HAProxy and nginx in front, and thousands of slow
// clients.
package gateway
