// Package streams runs the public suite of Durable Streams (npm: @durable-streams/server-conformance-tests) against a server without a
// file. The outcome of each test is held against results.txt: a regression and an improvement both show. "go test -tags e2e
// ./e2e/streams -rewrite" writes that file anew.
package streams
