// Package fanout compares servers with channels: the cost of a delivery, the memory of an idle client, and the time until all
// clients have reconnected after their connections were cut.
//
// The servers are separate processes on one processor. The clients are in this process, on another processor. The package runs on Linux
// only.
package fanout
