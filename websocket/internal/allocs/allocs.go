// Package allocs counts allocations where pools are in use.
package allocs

import (
	"runtime/debug"
	"testing"
)

// memory bounds the heap while the collector is off.
const memory = 1 << 30

// PerRun is [testing.AllocsPerRun] without the collector, which empties every sync.Pool: how often it runs depends on what else the
// process and the machine do. What the pools do not keep is counted all the same.
func PerRun(runs int, f func()) float64 {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return testing.AllocsPerRun(runs, f)
}
