// Package peers implements the same echo server and the same broadcast server with every compared WebSocket library, each in the
// cheapest way that the library documents. The Note of a [Peer] says whether it uses net/http.
//
// The package runs on Linux only, because of the raw epoll server.
package peers
