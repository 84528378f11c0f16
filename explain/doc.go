// Package explain opens a WebSocket as a browser would and reports each step: the sent and received data, the rule that applies,
// and whether the server followed it. A report of a fault says who can fix the fault, and how.
//
// The package reads the bytes itself instead of using a WebSocket client, because a client reports only the first error. It never panics,
// every wait has a limit, the kept amount of a server's data is limited, and reports contain none of the given credentials.
package explain
