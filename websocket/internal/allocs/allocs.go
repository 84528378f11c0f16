// Package allocs counts the allocations of code that uses pools.
package allocs

import (
	"runtime/debug"
	"testing"
)

// memory limits the heap while the garbage collector is off.
const memory = 1 << 30

// PerRun is like [testing.AllocsPerRun] without garbage collections. A collection empties every sync.Pool, and the frequency of
// collections depends on the rest of the process and on the machine. Allocations that do not come from a pool are still counted.
func PerRun(runs int, f func()) float64 {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return testing.AllocsPerRun(runs, f)
}
