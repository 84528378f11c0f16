// Package fanout compares servers of channels: what a delivery costs them, what an idle client costs, and how long it takes until
// all clients are back after their connections were cut.
//
// The servers are processes of their own, on one processor; the clients are in this process, on another one. It runs on Linux only.
package fanout
