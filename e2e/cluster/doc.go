// Package cluster tests channels on three nodes with one engine, with real processes and the Go client: nodes are killed and
// stopped, the engine is restarted, networks are cut, while publishers number what they publish. The short form runs with the
// other tests; "make drill" runs the long one and writes docs/drill.md.
package cluster
