// Package conformance holds the suite that says whether the WebSocket library keeps to RFC 6455 and RFC 7692 on a
// real socket.
//
// The peer of every case is written here from the RFCs alone: it shares no code with the library, so that a mistake in
// the library's framing cannot hide itself. Each case runs twice: against a server made with websocket.Accept and against
// a client made with websocket.Dial, both echoing what they get; what the peer sends is masked in the first and not in the
// second. Each of those runs several times over: cut as the case says, one byte a write, in as few writes as possible,
// joined with the opening handshake, and over TLS; each time with another of the library's ways to read and write. Only
// the cases of many bytes run once.
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
