package cli

import (
	"context"
	"runtime/metrics"
	"time"
)

const (
	memoryEvery  = 5 * time.Second // the interval between checks of the heap
	memoryCalm   = 2               // the number of checks without much allocation before memory is returned to the system
	memoryPauses = 4               // the minimum number of checks between two collections
	memoryLeast  = 256 << 10       // the minimum number of bytes that is worth a collection
)

// heapState is the state of the heap according to the runtime, in bytes.
type heapState struct {
	allocated uint64 // the total since the start of the process
	live      uint64 // the size of the objects that the last collection found live
	held      uint64 // obtained from the system and not returned
}

// spare returns the amount of memory that is held in addition to the live objects.
func (h heapState) spare() uint64 { return h.held - min(h.held, h.live) }

// memory decides when a server returns memory to the system. After a burst of handshakes the heap is up to twice as large as the live
// objects, and it does not shrink: the runtime keeps the free memory for new objects, which a server with idle connections does not create.
// The cost of a collection is proportional to the live heap. Therefore there is at most one collection in 20 seconds, and none while the
// server allocates so much that the runtime will soon start one itself. After a burst, a collection is worthwhile if the spare memory is a
// sixteenth of the live heap, otherwise if it is a quarter. memory must not be used concurrently.
type memory struct {
	last   heapState
	calm   int    // the number of checks since the last one with much allocation
	burst  bool   // whether there was much allocation since memory was last returned
	pause  int    // the number of checks until memory may be returned again
	lasted uint64 // the spare memory after memory was last returned, which gaps between objects kept from being returned
}

// look reports whether memory should be returned now.
func (m *memory) look(now heapState) bool {
	fresh := now.allocated - m.last.allocated
	m.last = now
	m.pause = max(m.pause-1, 0)
	if m.calm++; fresh > now.live/16+memoryLeast {
		m.calm, m.burst = 0, true
	}
	m.lasted = min(m.lasted, now.spare())
	most := now.live / 4
	if m.burst {
		most = now.live / 16
	}
	return m.calm >= memoryCalm && m.pause == 0 && now.spare() > m.lasted+most+memoryLeast
}

// gaveBack records the state after memory was returned.
func (m *memory) gaveBack(now heapState) {
	m.last, m.burst, m.pause, m.lasted = now, false, memoryPauses, now.spare()
}

// giveBack calls free when the process has become calm, until ctx is done.
func giveBack(ctx context.Context, read func() heapState, free func()) {
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	m := memory{last: read()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if m.look(read()) {
			free()
			m.gaveBack(read())
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
