// Package handshake is the opening handshake (RFC 6455 §4, RFC 7692 §7.1) as pure functions over headers. It takes
// net/http's types and dials nothing. It is low level: programs use package websocket, and proxies, transports and tools
// use this one.
//
// A server checks a request with [Check], or with [Opening.Check] if it has parsed the request itself, then its origin with
// [CheckOrigin]; [Opening.Choose] and [NegotiateDeflate] negotiate the subprotocol and compression, and [Answer] is the response.
//
// A client parses a URL with [ParseTarget], makes a [Request], parses the response with [Head] and checks it with [Verify] and
// [VerifyDeflate]. [VerifyAll] returns the verdict of every rule.
//
// A broken rule is reported as a [Violation]: it names the clause, describes the violation without quoting a value that could be a
// secret, and suggests the next step. Functions that append return the extended slice and do not keep it; returned strings may be
// parts of the arguments.
package handshake
