// Package conformance contains the test suite that checks whether the WebSocket library conforms to RFC 6455 and RFC 7692 on a real
// socket.
//
// The peer in every case is implemented in this package from the RFCs alone. It shares no code with the library, so that a bug in the
// library's framing cannot hide itself. Each case runs with five echo implementations. Four are servers, which use websocket.Accept,
// websocket.Server with Serve, Conn.Run in Serve, and websocket.Server with events, which the event loop drives. The fifth is a client
// that uses websocket.Dial. The peer masks its frames for the servers and not for the client. With Accept and Dial, each case runs four times: with the writes
// that the case specifies, with one byte per write, with as few writes as possible, the first of which includes the opening handshake,
// and over TLS. Each run uses different read and write methods of the library. With Server, the cases run without the writes that the
// case specifies, many of them concurrently on a shared server. The heavy cases run only once; with the race detector, the largest
// cases are not run with Server.
//
// The cases have the numbers of the corresponding cases of the Autobahn test suite, and require Autobahn's strict result: one code,
// immediate failure, an orderly end of the TCP connection. The cases with an h in their number are not from Autobahn.
//
// The result of every case is in results.md. The test fails if a case fails, or if the result differs from the file. To write the
// file:
//
//	go test ./e2e/conformance -rewrite
package conformance
