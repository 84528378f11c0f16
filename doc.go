// Package handfast is the root of the repository. It holds no code, only the tests that keep the house in order: who may
// import whom (deps_test.go), how long a file and a function may be and that every name is documented (budget_test.go),
// and that what the documents show compiles (docs_test.go).
//
// The library is package [github.com/handfast/handfast/websocket]; the binary is cmd/handfast.
package handfast
