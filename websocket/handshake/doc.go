// Package handshake implements the opening handshake (RFC 6455 §4, RFC 7692 §7.1) as pure functions on headers. It uses net/http's
// types, but does no I/O. It is a low-level package for proxies, transports and tools. Programs use package websocket.
//
// A server checks a request with [Check], or with [Opening.Check] if it has parsed the request itself, then its origin with
// [CheckOrigin]; [Opening.Choose] and [NegotiateDeflate] negotiate the subprotocol and compression, and [Answer] is the response.
//
// A client parses a URL with [ParseTarget], makes a [Request], parses the response with [Head] and checks it with [Verify] and
// [VerifyDeflate]. [VerifyAll] returns the verdict of every rule.
//
// A [Violation] contains the violated clause, a description that quotes no value that could be a secret, and a suggestion for the next
// step. Functions that append return the extended slice and do not retain it. Returned strings may be parts of the arguments.
package handshake
