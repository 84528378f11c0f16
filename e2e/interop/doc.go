// Package interop contains only tests. They connect package websocket with third-party peers. Chromium, Node's built-in client, Node's
// ws and Python's websockets connect to our server; our client connects to servers with Node's ws and Python's websockets. Every pair
// runs the same checks, over TCP and TLS.
//
// The peers are in the folder peers. Each peer prints a line of JSON with its observations for every check. The tests compare these
// lines, and the observations of our client or server, with the expected results. The tests fail if a peer is missing.
//
// The same tests with gorilla/websocket and coder/websocket are in module bench, so that this module does not depend on these
// libraries.
package interop
