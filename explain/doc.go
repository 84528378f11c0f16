// Package explain opens a WebSocket as a browser would and reports each step: what was sent and received, which rule applies, and
// whether the server followed it. If something is wrong, it reports whose fault it is and what to do.
//
// It reads the bytes itself instead of using a WebSocket client, because a client reports only the first error and hides the rest.
// It never panics, every wait has a limit, what it keeps of a server's data is limited, and its reports contain none of the given
// credentials.
package explain
