//go:build !race

// These tests are excluded with the race detector, which makes sync.Pool drop items.

package allocs

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
)

// TestPerRun checks that no garbage collection empties the pools, however much is allocated, and that collections continue
// afterwards.
func TestPerRun(t *testing.T) {
	var before, after runtime.MemStats
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	pool, made := sync.Pool{New: func() any { return new([4]int) }}, 0
	var garbage []byte
	runtime.ReadMemStats(&before)
	n := PerRun(50, func() {
		x := pool.Get()
		garbage = make([]byte, 1<<20)
		pool.Put(x)
		made++
	})
	runtime.ReadMemStats(&after)
	if n != 1 || made != 51 || len(garbage) == 0 { // one more run, to warm up
		t.Errorf("%v allocations per run, in %d runs", n, made)
	}
	if after.NumGC != before.NumGC {
		t.Errorf("the collector ran %d times", after.NumGC-before.NumGC)
	}
	if l, p := debug.SetMemoryLimit(-1), debug.SetGCPercent(100); l != limit || p != 100 {
		t.Errorf("the limit is %d, want %d; the percentage %d", l, limit, p)
	}
}
