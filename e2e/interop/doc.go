// Package interop contains only tests, which connect package websocket with third-party peers, used as their users do. Chromium,
// Node's built-in client, Node's ws and Python's websockets connect to our server; our client connects to the servers of the latter
// two. Every pair runs the same checks, over TCP and TLS.
//
// The peers are in the folder peers. Each prints a line of JSON with its observations for every check; the tests compare those
// lines, and the observations of our side, with the expected ones. A missing peer fails the tests.
//
// The same tests with gorilla/websocket and coder/websocket are in module bench, so that this module does not depend on these
// libraries.
package interop
