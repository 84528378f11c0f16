package cli

import (
	"context"
	"runtime/metrics"
	"time"
)

const (
	memoryEvery  = 5 * time.Second // how often the heap is looked at
	memoryCalm   = 2               // looks without much allocation before memory is given back
	memoryPauses = 4               // looks from one time to the next at least
	memoryLeast  = 256 << 10       // what is worth a collection
)

// heapState is what the runtime knows of the heap, in bytes.
type heapState struct {
	allocated uint64 // since the start of the process
	live      uint64 // found by the last collection
	held      uint64 // taken from the system and not given back
}

// spare returns what is held beyond what was live.
func (h heapState) spare() uint64 { return h.held - min(h.held, h.live) }

// memory decides when a server gives memory back. After a burst of handshakes the heap is up to twice as large as what lives in it, and
// it stays so: the runtime keeps that as room for the next objects, which a server whose connections wait does not need. A collection
// costs as much as what is live, so there is one in 20 seconds at most, and none while so much is allocated that the runtime has its own soon.
// Behind a burst a sixteenth of what is live is enough to have one, otherwise a quarter.
type memory struct {
	last   heapState
	calm   int    // looks since the last one at which much had been allocated
	burst  bool   // there was such a look since memory was given back
	pause  int    // looks until memory may be given back again
	lasted uint64 // what was spare in spite of that: the gaps between objects
}

// look reports whether memory is to be given back now.
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

// gaveBack notes what is held behind that.
func (m *memory) gaveBack(now heapState) {
	m.last, m.burst, m.pause, m.lasted = now, false, memoryPauses, now.spare()
}

// giveBack gives memory back to the system when the process has become calm, until ctx ends.
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

// readHeap asks the runtime. It stops nothing.
func readHeap() heapState {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heapState{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64() + s[3].Value.Uint64() + s[4].Value.Uint64()}
}
