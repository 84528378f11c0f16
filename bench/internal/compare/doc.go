// Package compare runs the servers of package peers under the load of package load, each pinned to a processor of its
// own, and writes a table of what an operation costs each of them.
//
// The rounds of a mode go over the servers in turn, so that what else the machine does hits all of them alike; the reported
// value is the median of the rounds. It runs on Linux only.
package compare
