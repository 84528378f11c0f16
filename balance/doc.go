// Package balance decides which server gets a connection, and which connections move when servers are added or removed. It is for
// long-lived connections, and counts them without regard to their durations.
//
// A [Pool] is a list of upstreams with the state of each: its live connections, its health, whether it drains. A caller takes an
// upstream with [Pool.Acquire], gives it back with [Pool.Release] when the connection has ended, and reports its observations:
// [Pool.Outcome] for each handshake, [Pool.Probe] for each health check, [Pool.ReportLoad] and [Pool.DrainReported] for the
// server's own reports. The pool never chooses an upstream that is down, ejected, draining or full. A [Policy] chooses among the
// others: [PowerOfTwo], the default, [LeastConnections], [Hash] or [RoundRobin].
//
// [Plan] returns how many connections each upstream should give up, after scale-out or for a drain; a [Pace] determines when the
// next one moves. A [Storm] limits the rate of handshakes when all clients reconnect at the same time.
//
// The package does no I/O. It starts no goroutine and reads no clock: every method that depends on the time takes it as an
// argument. Times passed to one Pool, Pace or Storm should not go backwards; if they do, some states end later than they should.
//
// # Load
//
// The load of an upstream is the number of its live connections: those of this pool, plus those of other balancers, if the server
// reports them. A report, such as a header field of each handshake's response, is the total number of connections at the server.
// The pool subtracts its own number at that moment and keeps the rest as the share of others, until the next report or for a
// minute. Between reports its own changes count immediately, so that two consecutive picks do not both use an old number. Netflix's
// edge load balancing combines a balancer's own counts with reports of the servers in the same way ("Rethinking Netflix's Edge Load
// Balancing", 2018); in Envoy and gRPC this is ORCA. Reports are optional: without them, each balancer spreads only its own
// connections evenly.
package balance
