// Package peers serves the same echo and the same broadcast with every WebSocket library that is compared, each by the
// cheapest way that it documents. Where a library can do without net/http, and where it cannot, is in the Note of its
// [Peer].
//
// It runs on Linux only, as the raw epoll server does.
package peers
