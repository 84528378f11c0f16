// Package balance decides which server gets a connection, and which connections move when servers come and go. It is for
// connections that live long: they are counted, not timed.
//
// A [Pool] is a list of upstreams and what is known of each: its live connections, its health, whether it drains. A caller takes
// an upstream with [Pool.Acquire], gives it back with [Pool.Release] when the connection is gone, and reports what it observes:
// [Pool.Outcome] for each handshake, [Pool.Probe] for each health check, [Pool.ReportLoad] and [Pool.DrainReported] for what the
// server itself says. The pool never chooses an upstream that is down, ejected, draining or full. Among the others a [Policy]
// chooses: [PowerOfTwo], the default, [LeastConnections], [Hash] or [RoundRobin].
//
// [Plan] says how many connections each upstream should give up, after scale-out or for a drain; a [Pace] says when the next one
// moves. A [Storm] bounds the rate of handshakes when all clients return together.
//
// The package does no I/O. It starts no goroutine and reads no clock: every method that depends on the time takes it as an
// argument. Times passed to one Pool, Pace or Storm should not run backwards; if they do, something ends later than it should.
//
// # Load
//
// The load of an upstream is the number of its live connections: those of this pool, plus those that other balancers hold, as far
// as the server reports them. A report, such as a header field of each handshake's response, is the total number of connections at
// the server. The pool subtracts its own at that moment and keeps the rest as the share of others, until the next report or for
// a minute. Between reports its own changes count immediately, so that two picks in a row do not both act on an old number. That
// a balancer combines what it counts with what servers report in responses is the design of Netflix's edge load balancing
// ("Rethinking Netflix's Edge Load Balancing", 2018); Envoy and gRPC have it as ORCA. Servers that report nothing cost nothing:
// balancers then agree only in so far as each spreads its own connections evenly.
package balance
