package cli

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

// Memory is returned to the system when the process has become idle after a burst, at most once in 20 seconds, and not again for
// memory that a collection cannot free.
func TestMemoryIsReturned(t *testing.T) {
	type heapCheck struct {
		live, held, fresh uint64 // in MiB; fresh is the amount allocated since the last check
		want              bool
	}
	repeated := func(n int, l heapCheck) (list []heapCheck) {
		for range n {
			list = append(list, l)
		}
		return list
	}
	for _, c := range []struct {
		name   string
		checks []heapCheck
	}{
		{"a small heap", repeated(40, heapCheck{4, 5, 0, false})},
		{"less than a quarter", append([]heapCheck{{64, 78, 0, false}}, repeated(40, heapCheck{64, 78, 0, false})...)},
		{"less than a quarter, after a burst", []heapCheck{{64, 78, 40, false}, {64, 78, 0, false}, {64, 78, 0, true}}},

		{"a burst", append(repeated(5, heapCheck{11, 24, 20, false}), heapCheck{11, 24, 0, false}, heapCheck{11, 24, 0, true})},
		{"connections in use", repeated(40, heapCheck{11, 24, 2, false})},
		{"a few bytes all the time", append([]heapCheck{{64, 128, 1, false}, {64, 128, 1, true}}, repeated(3, heapCheck{64, 128, 1, false})...)},
		{"20 seconds later", append([]heapCheck{{64, 128, 1, false}, {64, 128, 1, true}, {64, 66, 1, false}}, append(repeated(2, heapCheck{64, 128, 1, false}), heapCheck{64, 128, 1, true})...)},
		{"gaps between objects", append([]heapCheck{{64, 128, 0, false}, {64, 128, 0, true}}, repeated(40, heapCheck{64, 128, 0, false})...)},
		{"gaps, and then fewer live objects", append(append([]heapCheck{{64, 128, 0, false}, {64, 128, 0, true}}, repeated(20, heapCheck{64, 128, 0, false})...), heapCheck{16, 128, 0, true})},
	} {
		var m scavenger
		var at heapState
		for i, l := range c.checks {
			at = heapState{at.allocated + l.fresh*mib, l.live * mib, l.held * mib}
			got := m.shouldReturn(at)
			if got != l.want {
				t.Errorf("%s, look %d: %v, want %v", c.name, i+1, got, l.want)
			}
			if !got {
				continue
			}
			if i+1 < len(c.checks) {
				at.held = c.checks[i+1].held * mib
			}
			m.returned(at)
		}
	}
}

// returnMemory checks every five seconds, and returns when its context is done.
func TestGiveBackEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		at, freed, began := heapState{live: 10 * mib, held: 40 * mib}, make(chan time.Time, 2), time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			returnMemory(ctx, func() heapState { return at }, func() { freed <- time.Now(); at.held = 11 * mib })
		})
		if took := (<-freed).Sub(began); took != memoryCalmChecks*memoryCheckInterval {
			t.Errorf("memory was returned after %v, want %v", took, memoryCalmChecks*memoryCheckInterval)
		}
		cancel()
		all.Wait()
	})
}

// readHeap shows that the heap has grown, and that it is smaller after memory was returned to the system.
func TestReadHeap(t *testing.T) {
	before := readHeap()
	room := make([]byte, 64*mib)
	for i := range room {
		room[i] = 1
	}
	with := readHeap()
	runtime.KeepAlive(room)
	debug.FreeOSMemory()
	after := readHeap()
	if with.allocated < before.allocated+64*mib || after.live == 0 {
		t.Errorf("allocated %d before and %d after 64 MiB; live %d", before.allocated, with.allocated, after.live)
	}
	if after.held+48*mib > with.held {
		t.Errorf("%d bytes are held after 64 MiB were returned, %d before", after.held, with.held)
	}
}
