// Package explain opens a WebSocket as a browser would and reports each step: the sent and received data, the rule that applies,
// and whether the server followed it. If there is a fault, it reports whose fault it is and what to do.
//
// It reads the bytes itself instead of using a WebSocket client, because a client reports only the first error and hides the rest.
// It never panics, every wait has a limit, the amount of a server's data that it keeps is limited, and its reports contain none of
// the given credentials.
package explain
