// Package peers serves the same echo and the same broadcast with every compared WebSocket library, each in the cheapest way that
// its documentation describes. The Note of a [Peer] says whether it uses net/http.
//
// It runs on Linux only, because of the raw epoll server.
package peers
