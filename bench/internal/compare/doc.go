// Package compare runs the servers of package peers under the load of package load, each pinned to its own processor, and writes a
// table with each server's cost per operation.
//
// The rounds of a mode alternate between the servers, so that other load on the machine affects all of them equally; the reported value is
// the median of the rounds. The package runs on Linux only.
package compare
