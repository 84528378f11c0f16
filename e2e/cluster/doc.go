// Package cluster tests channels on three nodes that share one engine, with real processes and the Go client. While publishers send
// numbered messages, nodes are killed and stopped, the engine is restarted, and networks are cut. The short form runs with the
// other tests; "make drill" runs the long form and writes docs/drill.md.
package cluster
