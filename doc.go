// Package handfast is the root of the repository. It contains only tests of the repository as a whole: which packages a package may
// import (deps_test.go), how long a file and a function may be and that every exported name is documented (budget_test.go), and
// that the code in the documents compiles (docs_test.go).
//
// The library is package [github.com/handfast/handfast/websocket]; the binary is cmd/handfast.
package handfast
