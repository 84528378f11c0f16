// Package handshake is the opening handshake (RFC 6455 §4, RFC 7692 §7.1) as pure functions over headers. It takes
// net/http's types and dials nothing. It is low level: programs use package websocket, and proxies, transports and tools
// use this one.
//
// A server checks a request with [Check], or with [Opening.Check] when it has parsed the request itself, then its origin
// with [CheckOrigin]; [Opening.Choose] and [NegotiateDeflate] settle the terms, and [Answer] is the reply.
//
// A client takes a URL apart with [ParseTarget], makes a [Request], reads the reply with [Head] and holds it to the rules
// with [Verify] and [VerifyDeflate]. [VerifyAll] returns the verdict of every rule.
//
// What breaks a rule is a [Violation]: it names the clause, says what is wrong without quoting a value that could be a
// secret, and knows the next step. Functions that append return the extended slice and keep nothing of it; strings that
// are returned may be parts of those that were given.
package handshake
