package loop

import (
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// fdKernel is a kernel whose results contain the descriptor of the call. It counts the calls of Release.
type fdKernel struct {
	idleKernel
	released *int
}

func (fdKernel) Peer(fd int) net.Addr  { return &net.TCPAddr{Port: fd} }
func (fdKernel) Local(fd int) net.Addr { return &net.TCPAddr{Port: fd + 1} }
func (fdKernel) Unsent(fd int) int     { return fd + 2 }
func (fdKernel) Close(int)             {}
func (k fdKernel) Release()            { *k.released++ }

// Peer and Local call the kernel only while the descriptor is open. After Close, the number may be reused.
func TestAddressesOfAClosedDescriptor(t *testing.T) {
	ls := Manual(fdKernel{})
	f := new(FD)
	place := Place{ls.loops[0], 7}
	place.Add(f, new(nopHandler))
	if p, l, n := f.Peer(), f.Local(), f.Unsent(); p.String() != ":7" || l.String() != ":8" || n != 9 || place.Peer().String() != ":7" {
		t.Errorf("peer %v, local %v, %d unsent; its place: %v", p, l, n, place.Peer())
	}
	f.Close()
	if p, l, n := f.Peer(), f.Local(), f.Unsent(); p != nil || l != nil || n != -1 || !f.Closed() {
		t.Errorf("closed: peer %v, local %v, %d unsent", p, l, n)
	}
}

// The token of a descriptor differs from that of a listener, and from that of the previous descriptor in the same slot, however
// many descriptors there have been.
func TestTokens(t *testing.T) {
	for _, births := range []uint32{0, 1, 1<<30 - 1, 1 << 30, 1<<31 - 2, 1<<31 - 1, 1 << 31, 1<<32 - 2, 1<<32 - 1} {
		l := newLoop(new(Loops), idleKernel{})
		l.lastBirth = births
		kept, gone, next := new(FD), new(FD), new(FD)
		l.add(kept)
		l.add(gone)
		l.remove(gone)
		l.add(next)
		last := new(FD)
		l.add(last)
		if last.slot != 2 || l.slots[0] != kept || l.slots[1] != next || l.slots[2] != last {
			t.Errorf("after %d: a place is taken twice, or not at all", births)
		}
		if gone.slot != 1 || next.slot != 1 || gone.token() == next.token() || kept.token() == next.token() {
			t.Errorf("after %d: tokens %#x, %#x and, of the next owner of its slot, %#x", births, kept.token(), gone.token(), next.token())
		}
		for _, f := range []*FD{kept, gone, next} {
			if f.token()&listenBit != 0 || uint32(f.token()) != f.slot {
				t.Errorf("after %d: token %#x at %d", births, f.token(), f.slot)
			}
		}
	}
}

// batchKernel is a kernel that reports several events together.
type batchKernel struct {
	idleKernel
	events []Event
}

func (k *batchKernel) Wait(events []Event, _ time.Duration) (int, error) {
	return copy(events, k.events), nil
}

// An event of a closed descriptor is not delivered to the descriptor that has reused its number and its slot.
func TestLateEvent(t *testing.T) {
	k := new(batchKernel)
	l := newLoop(new(Loops), k)
	gone, next := &FD{fd: 7}, &FD{fd: 7}
	l.add(gone)
	stale := Event{Token: gone.token(), Ready: Readable | Hangup}
	for name, tt := range map[string]struct {
		f    *FD // the descriptor in the slot; nil for none
		want bool
	}{"its own": {gone, true}, "an empty place": {nil, false}, "another's": {next, false}} {
		l.slots[gone.slot], k.events = tt.f, []Event{stale}
		if tt.f == next {
			l.freeSlots = []uint32{gone.slot}
			l.add(next)
			k.events = append(k.events, Event{Token: next.token(), Ready: Writable})
		}
		if going, err := l.wait(); !going || err != nil {
			t.Fatalf("%s: %t, %v", name, going, err)
		}
		var got []task
		for _, w := range l.batch {
			if w.what&Hangup != 0 {
				got = append(got, w)
			}
		}
		if (len(got) == 1) != tt.want || len(l.batch) != len(k.events)-1+len(got) {
			t.Errorf("%s: %+v", name, l.batch)
		}
	}
}

// By default the number of loops is GOMAXPROCS. All kernels are released when the loops end, and also if the creation of one kernel fails.
func TestKernelsOfLoops(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for _, tt := range []struct{ loops, fails, want int }{{0, 0, 3}, {-1, 0, 3}, {1, 0, 1}, {5, 0, 5}, {5, 4, 3}, {5, 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			made, all, broken := 0, []*bubbleKernel(nil), errors.New("no kernel")
			ls, err := New(Options{Loops: tt.loops, Kernel: func() (Kernel, error) {
				if made++; made == tt.fails {
					return nil, broken
				}
				all = append(all, newBubble())
				return all[len(all)-1], nil
			}})
			if (tt.fails > 0) != errors.Is(err, broken) || len(all) != tt.want || runtime.GOMAXPROCS(0) != 3 {
				t.Errorf("%+v: %d kernels, %v", tt, len(all), err)
			}
			if err == nil {
				ls.Stop()
				ls.Wait()
			}
			for _, k := range all {
				if k.released != 1 {
					t.Errorf("%+v: a kernel is released %d times", tt, k.released)
				}
			}
		})
	}
}

// When a driver ends, the next one reuses its buffer.
func TestBufferIsReused(t *testing.T) {
	made, before := 0, buffers.New
	defer func() { buffers.New = before }()
	buffers.New = func() any { made++; return before() }
	const n = 100
	for range n {
		ls := &Loops{finished: make(chan struct{})}
		l := newLoop(ls, fdKernel{released: new(int)})
		ls.running.Add(1)
		ls.active.Store(1)
		l.stop()
		l.drive()
	}
	if made > n/2 { // a sync.Pool may drop items, and does so deliberately with the race detector
		t.Errorf("%d buffers for %d drivers, one after the other", made, n)
	}
}

// acceptKernel is a kernel with one connection to accept. It reports no events.
type acceptKernel struct {
	bubbleKernel
	waiting []int
	times   []time.Duration // the timeouts of the waits
	at      time.Duration   // the current time
}

func (k *acceptKernel) Accept(int) (int, error) {
	if len(k.waiting) == 0 {
		return 0, ErrAgain
	}
	fd := k.waiting[0]
	k.waiting = k.waiting[1:]
	return fd, nil
}

func (k *acceptKernel) Wait(_ []Event, timeout time.Duration) (int, error) {
	k.times = append(k.times, timeout)
	return 0, nil
}

func (k *acceptKernel) Now() time.Duration { return k.at }

// An accepted connection is assigned to the loop with fewer descriptors, whose driver visits it. If the other loop has ended, the
// connection stays on the loop that accepted it.
func TestAcceptAssignsALoop(t *testing.T) {
	for name, over := range map[string]bool{"the other runs": false, "the other has ended": true} {
		ls, k := &Loops{finished: make(chan struct{})}, &acceptKernel{waiting: []int{7}}
		own, other := newLoop(ls, k), newLoop(ls, new(acceptKernel))
		ls.loops = []*loop{own, other}
		d := newDriver(own)
		own.add(new(FD))
		other.finished = over
		h := new(scripted)
		n, err := own.listen(3, func(p Place) *FD { p.Add(&h.FD, h); return &h.FD })
		if err != nil || !own.accept(d, n) {
			t.Fatal(err)
		}
		if over && (h.loop != own || own.count.Load() != 2 || other.count.Load() != 0) ||
			!over && (h.loop != other || own.count.Load() != 1 || other.count.Load() != 1) {
			t.Errorf("%s: assigned to the other loop: %v; %d and %d descriptors", name, h.loop == other, own.count.Load(), other.count.Load())
		}
		if over {
			wantCalls(t, name, h.takeCalls(), "begin r")
		} else {
			wantCalls(t, name, h.takeCalls())
		}
		if asked := len(own.todo); asked != 0 {
			t.Errorf("%s: %d more visits", name, asked)
		}
		if asked := len(other.todo); asked == 1 == over {
			t.Errorf("%s: the other loop makes %d visits", name, asked)
		}
	}
}

// A loop does not wait if a visit is scheduled. Otherwise it waits for the next deadline, for the end of a pause, or indefinitely.
func TestWaitTimeout(t *testing.T) {
	const at = 100
	for name, tt := range map[string]struct {
		do     func(*loop, *FD)
		want   time.Duration
		asleep bool
		wakeAt uint32
	}{
		"for nothing":                     {func(*loop, *FD) {}, -1, true, ^uint32(0)},
		"with something to do":            {func(l *loop, f *FD) { l.requestVisit(f) }, 0, false, 1},
		"for a deadline":                  {func(l *loop, f *FD) { l.schedule(f, at+3) }, 3*tick - 1, true, at + 3},
		"for one that has passed":         {func(l *loop, f *FD) { l.schedule(f, at-3) }, 0, true, at - 3},
		"for the end of a pause":          {func(l *loop, _ *FD) { l.resumeAccept = at + 5 }, 5*tick - 1, true, at + 5},
		"for a deadline before that":      {func(l *loop, f *FD) { l.resumeAccept = at + 5; l.schedule(f, at+3) }, 3*tick - 1, true, at + 3},
		"for a pause before the deadline": {func(l *loop, f *FD) { l.resumeAccept = at + 5; l.schedule(f, at+7) }, 5*tick - 1, true, at + 5},
	} {
		k := &acceptKernel{at: at*tick + 1}
		l := newLoop(new(Loops), k)
		l.wheel.now, l.wakeAt = at-10, 1
		f := new(FD)
		l.add(f)
		tt.do(l, f)
		asleep := false
		l.k = hookedKernel{k, func() { asleep = l.asleep }}
		l.batch, l.done = []task{{f: f}}, 1
		if ok, err := l.wait(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if k.times[0] != tt.want || asleep != tt.asleep || l.asleep || l.wakeAt != tt.wakeAt {
			t.Errorf("%s: it waits for %v until tick %d, asleep %v, and after that %v", name, k.times, l.wakeAt, asleep, l.asleep)
		}
		if l.done != 0 || len(l.batch) > 1 || len(l.batch) == 1 && l.batch[0].what != Due {
			t.Errorf("%s: the batch is %v, done until %d", name, l.batch, l.done)
		}
	}
}

// hookedKernel is a kernel that calls onWait at the beginning of a wait.
type hookedKernel struct {
	Kernel
	onWait func()
}

func (k hookedKernel) Wait(events []Event, timeout time.Duration) (int, error) {
	k.onWait()
	return k.Kernel.Wait(events, timeout)
}

// nextDue finds the earliest deadline, whichever deadlines are set and whatever the current tick is.
func TestNextDueIsTheEarliest(t *testing.T) {
	if at, ok := newLoop(new(Loops), idleKernel{}).nextDue(); at != 0 || ok {
		t.Errorf("on an empty wheel: %d, %v", at, ok)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		l := newLoop(new(Loops), idleKernel{})
		l.wheel.now = r.Uint32N(5 * buckets)
		var want uint32
		for range 1 + r.IntN(3) {
			f := new(FD)
			l.add(f)
			due := l.wheel.now + r.Uint32N(buckets+1)
			l.schedule(f, due)
			due = max(due, l.wheel.now+1) // a deadline at the current tick is due at the next one
			if want == 0 || due < want {
				want = due
			}
		}
		if at, ok := l.nextDue(); !ok || at != want {
			t.Fatalf("at %d the next is due at %d, %v; want %d", l.wheel.now, at, ok, want)
		}
	}
}
