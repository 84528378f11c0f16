// Package allocs counts allocations of code that uses pools.
package allocs

import (
	"runtime/debug"
	"testing"
)

// memory limits the heap while the garbage collector is off.
const memory = 1 << 30

// PerRun is [testing.AllocsPerRun] without garbage collections, which empty every sync.Pool: how often they happen depends on the
// rest of the process and on the machine. Allocations that no pool avoids are still counted.
func PerRun(runs int, f func()) float64 {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return testing.AllocsPerRun(runs, f)
}
