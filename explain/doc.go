// Package explain opens a WebSocket the way a browser would and says what happened, step by step: what was sent, what
// came back, which rule applies, whether it held, and when it did not, whose fault it is and what to do.
//
// It reads the wire itself instead of using a WebSocket client, since a client tells the first thing that is wrong and
// hides the rest. It never panics, every wait in it has a bound, what a server can make it keep is bounded, and no
// credential that it was given stands in what it reports.
package explain
