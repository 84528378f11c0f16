package hub

import (
	"container/heap"
	"strconv"
	"testing"
	"time"
)

// The in-memory engine wakes up for the lease that expires first, and not for one that has already expired.
func TestMemoryRest(t *testing.T) {
	m := NewMemory()
	now := time.Now()
	m.leases["over"] = &memoryLease{ended: true, until: now.Add(-time.Minute)}
	if got := m.nextMaintenance(now); got != maxMemoryRest {
		t.Errorf("with nothing due %v, want %v", got, maxMemoryRest)
	}
	m.leases["live"] = &memoryLease{until: now.Add(maxMemoryRest / 2)}
	if got := m.nextMaintenance(now); got != maxMemoryRest/2 {
		t.Errorf("with a lease %v, want %v", got, maxMemoryRest/2)
	}
	m.leases["due"] = &memoryLease{until: now}
	if got := m.nextMaintenance(now); got != minMemoryRest {
		t.Errorf("with a lease that is due %v, want %v", got, minMemoryRest)
	}
}

// Expiries leave the heap in the order of their times.
func TestExpiriesAreOrdered(t *testing.T) {
	var x expiries
	began := time.Now()
	for _, s := range []int{5, 3, 8, 1, 9, 2, 7} {
		heap.Push(&x, expiry{at: began.Add(time.Duration(s) * time.Second), key: strconv.Itoa(s)})
	}
	got := ""
	for len(x) > 0 {
		got += heap.Pop(&x).(expiry).key
	}
	if got != "1235789" {
		t.Errorf("the order is %s", got)
	}
}
