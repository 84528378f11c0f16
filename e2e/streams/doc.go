// Package streams runs the public test suite of Durable Streams (npm: @durable-streams/server-conformance-tests) with a server that
// has no configuration file. The result of each test is compared with results.txt, so that both regressions and improvements are
// visible. "go test -tags e2e ./e2e/streams -rewrite" rewrites results.txt.
package streams
