// Package interop holds no code, only tests: package websocket against peers that other people wrote, as their users
// run them. Chromium, Node's built-in client, Node's ws and Python's websockets connect to our server; our client
// connects to the servers of the latter two. Every pair runs the same checks, over TCP and over TLS.
//
// The peers are in the folder peers. Each prints a line of JSON for a check, with what it saw; the tests compare those
// lines, and what our side saw, with what has to be there. A missing peer fails the tests.
//
// gorilla/websocket and coder/websocket have the same tests in module bench, so that they stay out of this module.
package interop
