package hub

import (
	"testing"
	"time"
)

// The in-memory engine wakes up for the lease that expires first, and not for one that has already expired.
func TestMemoryRest(t *testing.T) {
	m := NewMemory()
	now := time.Now()
	m.leases["over"] = &memoryLease{over: true, until: now.Add(-time.Minute)}
	if got := m.rest(now); got != memoryRest {
		t.Errorf("with nothing due %v, want %v", got, memoryRest)
	}
	m.leases["live"] = &memoryLease{until: now.Add(memoryRest / 2)}
	if got := m.rest(now); got != memoryRest/2 {
		t.Errorf("with a lease %v, want %v", got, memoryRest/2)
	}
	m.leases["due"] = &memoryLease{until: now}
	if got := m.rest(now); got != memorySweep {
		t.Errorf("with a lease that is due %v, want %v", got, memorySweep)
	}
}
