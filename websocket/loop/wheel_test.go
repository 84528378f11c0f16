package loop

import (
	"net"
	"testing"
	"time"
)

// idleKernel is a kernel without events.
type idleKernel struct{ Kernel }

func (idleKernel) Now() time.Duration { return 0 }
func (idleKernel) Wake()              {}

func (idleKernel) Peer(int) net.Addr { return nil }

func TestDeadlinesOnTheWheel(t *testing.T) {
	l := newLoop(new(Loops), idleKernel{})
	l.wheel.now = 1000
	var conns []*FD
	for _, at := range []uint32{1001, 1001, 1500, 2023, 2024, 2025, 5000} {
		c := new(FD)
		l.add(c)
		l.schedule(c, at)
		conns = append(conns, c)
	}
	l.unschedule(conns[1])
	l.schedule(conns[2], 1499)
	fired := map[uint32]int{}
	for now, turns := uint32(1000), 0; turns < 50; turns++ {
		at, ok := l.nextDue()
		if !ok {
			break
		}
		if at <= now {
			t.Fatalf("the next deadline is %d, but the current tick is %d", at, now)
		}
		now = at
		fired[now] += len(l.expire(now, nil))
	}
	delete(fired, 3048-1024) // in the first turn the bucket contains nothing that is due: the deadline is one turn later
	for at, n := range fired {
		if n == 0 {
			delete(fired, at)
		}
	}
	want := map[uint32]int{1001: 1, 1499: 1, 2023: 1, 2025: 1, 5000: 1}
	for at, n := range want {
		if fired[at] != n {
			t.Errorf("at tick %d, %d connections are due, want %d: %v", at, fired[at], n, fired)
		}
	}
	if used := l.wheel.used; used != [buckets / 64]uint64{} {
		t.Errorf("buckets are in use: %x", used)
	}
}

// The first expire call returns the descriptors that are due at the first tick. Unscheduling a descriptor that is not on the wheel
// has no effect.
func TestTheFirstTick(t *testing.T) {
	l := newLoop(new(Loops), idleKernel{})
	on, off := new(FD), new(FD)
	l.add(on)
	l.add(off)
	l.schedule(on, 1)
	if due := l.expire(1, nil); len(due) != 1 || due[0].f != on || due[0].what != Due {
		t.Errorf("due at the first tick: %v", due)
	}
	l.schedule(on, buckets) // in bucket 0, whose number also marks an FD without a deadline
	l.unschedule(off)
	if at, ok := l.nextDue(); !ok || at != buckets {
		t.Errorf("due at %d, %v", at, ok)
	}
}

// A deadline is never early: a part of a tick counts as a whole one.
func TestTicks(t *testing.T) {
	for d, want := range map[time.Duration]uint32{-1: 1, 0: 1, 1: 1, tick: 1, tick + 1: 2, 2 * tick: 2, 2*tick + 1: 3, time.Minute: 3750} {
		if got := ticks(d); got != want {
			t.Errorf("%v: %d ticks, want %d", d, got, want)
		}
	}
}

// A descriptor that was removed from the loop is not due any more.
func TestRemovedIsNotDue(t *testing.T) {
	l := newLoop(new(Loops), idleKernel{})
	gone, stays := new(FD), new(FD)
	l.add(gone)
	l.add(stays)
	l.schedule(gone, 5)
	l.schedule(stays, 9)
	l.remove(gone)
	if at, ok := l.nextDue(); !ok || at != 9 {
		t.Errorf("due at %d, %v; want 9", at, ok)
	}
	if due := l.expire(9, nil); len(due) != 1 || due[0].f != stays {
		t.Errorf("due in the end: %v", due)
	}
}

// TestCancelAgain checks that canceling a descriptor that is no longer scheduled does not affect others, and that Left then returns
// 0.
func TestCancelAgain(t *testing.T) {
	l := newLoop(new(Loops), idleKernel{})
	first, twice, last := new(FD), new(FD), new(FD)
	for _, f := range []*FD{first, twice, last} {
		l.add(f)
	}
	l.schedule(first, 5)
	l.schedule(twice, 5)
	if twice.Left() != 5*tick {
		t.Errorf("%v is left", twice.Left())
	}
	twice.Cancel()
	l.schedule(last, 5)
	twice.Cancel()
	if twice.Left() != 0 {
		t.Errorf("%v is left after Cancel", twice.Left())
	}
	if due := l.expire(5, nil); len(due) != 2 || due[0].f != last || due[1].f != first {
		t.Errorf("due are %v", due)
	}
	if first.Left()+last.Left() != 0 {
		t.Errorf("%v and %v are left of what was due", first.Left(), last.Left())
	}
}
