// Package conformance holds the suite that says whether the WebSocket library keeps to RFC 6455 and RFC 7692 on a
// real socket.
//
// The peer of every case is written here from the RFCs alone: it shares no code with the library, so that a mistake in
// the library's framing cannot hide itself. Each case runs against four ends of the library, all echoing what they get:
// servers made with websocket.Accept, with websocket.Server and with its events, which the event loop drives, and a client
// made with websocket.Dial; what the peer sends is masked for the servers and not for the client. With Accept and Dial each
// of those runs several times over: cut as the case says, one byte a write, in as few writes as possible, joined with the
// opening handshake, and over TLS; each time with another of the library's ways to read and write. The Server and the
// event loop are played one byte a write and over TLS, by many cases at once on a server that they share. Only the cases
// of many bytes run once; with the race detector, the Server and the event loop are spared the largest of them.
//
// The cases bear the numbers which the Autobahn test suite gave to the same situations, and ask for its strict result:
// one code, failure at once, an orderly end of the TCP connection. Those with an h in their number go further than
// Autobahn does.
//
// The outcome of every case is in results.md. The test fails when a case fails, and when the outcome is not what the file
// says; to write the file anew:
//
//	go test ./e2e/conformance -rewrite
package conformance
