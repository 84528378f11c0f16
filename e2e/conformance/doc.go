// Package conformance contains the test suite that checks whether the WebSocket library conforms to RFC 6455 and RFC 7692 on a real
// socket.
//
// The peer in every case is implemented here from the RFCs alone. It shares no code with the library, so that it cannot hide a bug
// in the library's framing. Each case runs with four echo implementations: servers made with websocket.Accept, with
// websocket.Server and with its events, which the event loop drives, and a client made with websocket.Dial. The peer masks its
// frames for the servers and not for the client. With Accept and Dial each case runs several times: with its writes cut as the case
// specifies, with one byte per write, with as few writes as possible, joined with the opening handshake, and over TLS, each time
// with different read and write methods of the library. With Server and the event loop, the cases run with one byte per write and
// over TLS, many of them concurrently on a shared server. The heavy cases run only once; with the race detector, the largest of
// them are not run with Server and the event loop.
//
// The cases have the numbers of the same situations in the Autobahn test suite, and require its strict result: one code, immediate
// failure, an orderly end of the TCP connection. The cases with an h in their number are additions to Autobahn's.
//
// The result of every case is in results.md. The test fails if a case fails, or if the result differs from the file. To write the
// file:
//
//	go test ./e2e/conformance -rewrite
package conformance
