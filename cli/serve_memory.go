package cli

import (
	"context"
	"runtime/metrics"
	"time"
)

const (
	memoryCheckInterval = 5 * time.Second // the interval between checks of the heap
	memoryCalmChecks    = 2               // the number of checks without much allocation before memory is returned to the system
	memoryMinChecks     = 4               // the minimum number of checks between two collections
	memoryMinGain       = 256 << 10       // the minimum number of bytes that is worth a collection
)

// heapState is the state of the heap according to the runtime, in bytes.
type heapState struct {
	allocated uint64 // the total since the start of the process
	live      uint64 // the size of the objects that the last collection found live
	held      uint64 // obtained from the system and not returned
}

// unused returns the amount of memory that is held in addition to the live objects.
func (h heapState) unused() uint64 { return h.held - min(h.held, h.live) }

// scavenger decides when a server returns memory to the system. After a burst of handshakes the heap is up to twice as large as the live
// objects, and it does not shrink: the runtime keeps the free memory for new objects, which a server with idle connections does not create.
// The cost of a collection is proportional to the live heap. Therefore there is at most one collection in 20 seconds, and none while the
// server allocates so much that the runtime will soon start one itself. After a burst, a collection is worthwhile if the unused memory is a
// sixteenth of the live heap, otherwise if it is a quarter. A scavenger must not be used concurrently.
type scavenger struct {
	last  heapState
	calm  int    // the number of checks since the last one with much allocation
	burst bool   // whether there was much allocation since memory was last returned
	pause int    // the number of checks until memory may be returned again
	floor uint64 // the unused memory after memory was last returned, which gaps between objects kept from being returned
}

// shouldReturn reports whether memory should be returned now.
func (m *scavenger) shouldReturn(now heapState) bool {
	fresh := now.allocated - m.last.allocated
	m.last = now
	m.pause = max(m.pause-1, 0)
	if m.calm++; fresh > now.live/16+memoryMinGain {
		m.calm, m.burst = 0, true
	}
	m.floor = min(m.floor, now.unused())
	threshold := now.live / 4
	if m.burst {
		threshold = now.live / 16
	}
	return m.calm >= memoryCalmChecks && m.pause == 0 && now.unused() > m.floor+threshold+memoryMinGain
}

// returned records the state after memory was returned.
func (m *scavenger) returned(now heapState) {
	m.last, m.burst, m.pause, m.floor = now, false, memoryMinChecks, now.unused()
}

// returnMemory calls free when the process has become calm, until ctx is done.
func returnMemory(ctx context.Context, read func() heapState, free func()) {
	tick := time.NewTicker(memoryCheckInterval)
	defer tick.Stop()
	m := scavenger{last: read()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if m.shouldReturn(read()) {
			free()
			m.returned(read())
		}
	}
}

// readHeap reads the state from the runtime, without stopping the world.
func readHeap() heapState {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heapState{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64() + s[3].Value.Uint64() + s[4].Value.Uint64()}
}
