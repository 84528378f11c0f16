package loop

import (
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
)

// asked is a kernel whose answers tell which descriptor it was asked about, and whether it was released.
type asked struct {
	still
	released *int
}

func (asked) Peer(fd int) net.Addr  { return &net.TCPAddr{Port: fd} }
func (asked) Local(fd int) net.Addr { return &net.TCPAddr{Port: fd + 1} }
func (asked) Unsent(fd int) int     { return fd + 2 }
func (asked) Close(int)             {}
func (k asked) Release()            { *k.released++ }

// The kernel is asked about a descriptor until that is closed: then the number may be another's.
func TestQuestionsAboutADescriptor(t *testing.T) {
	ls := Manual(asked{})
	f := new(FD)
	place := Place{ls.loops[0], 7}
	place.Add(f, new(idle))
	if p, l, n := f.Peer(), f.Local(), f.Unsent(); p.String() != ":7" || l.String() != ":8" || n != 9 || place.Peer().String() != ":7" {
		t.Errorf("peer %v, local %v, %d unsent; its place: %v", p, l, n, place.Peer())
	}
	f.Close()
	if p, l, n := f.Peer(), f.Local(), f.Unsent(); p != nil || l != nil || n != -1 || !f.Closed() {
		t.Errorf("closed: peer %v, local %v, %d unsent", p, l, n)
	}
}

// However many there have been, the token of a descriptor is not that of a listener, nor that of the descriptor which had its
// place before.
func TestTokens(t *testing.T) {
	for _, births := range []uint32{0, 1, 1<<30 - 1, 1 << 30, 1<<31 - 2, 1<<31 - 1, 1 << 31, 1<<32 - 2, 1<<32 - 1} {
		l := newLoop(new(Loops), still{})
		l.births = births
		kept, gone, next := new(FD), new(FD), new(FD)
		l.add(kept)
		l.add(gone)
		l.remove(gone)
		l.add(next)
		if gone.slot != 1 || next.slot != 1 || gone.token() == next.token() || kept.token() == next.token() {
			t.Errorf("after %d: tokens %#x, %#x and, in place of that, %#x", births, kept.token(), gone.token(), next.token())
		}
		for _, f := range []*FD{kept, gone, next} {
			if f.token()&listenBit != 0 || uint32(f.token()) != f.slot {
				t.Errorf("after %d: token %#x at %d", births, f.token(), f.slot)
			}
		}
	}
}

// There are as many loops as goroutines run at the same time; all kernels are given back in the end, and also when one of them
// cannot be made.
func TestKernelsOfLoops(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for _, tt := range []struct{ loops, fails, want int }{{0, 0, 3}, {-1, 0, 3}, {1, 0, 1}, {5, 0, 5}, {5, 4, 3}, {5, 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			made, all, broken := 0, []*bubble(nil), errors.New("no kernel")
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

// The buffer of a driver that ends is the next one's.
func TestBufferIsUsedAgain(t *testing.T) {
	made, before := 0, buffers.New
	defer func() { buffers.New = before }()
	buffers.New = func() any { made++; return before() }
	const n = 100
	for range n {
		ls := &Loops{over: make(chan struct{})}
		l := newLoop(ls, asked{released: new(int)})
		ls.running.Add(1)
		ls.turning.Store(1)
		l.stop()
		l.drive()
	}
	if made > n/2 { // a pool forgets some, for the race detector on purpose
		t.Errorf("%d buffers for %d drivers, one after the other", made, n)
	}
}

// Whatever is due on a wheel, and wherever it stands, the earliest is found.
func TestNextDueIsTheEarliest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		l := newLoop(new(Loops), still{})
		l.wheel.now = r.Uint32N(5 * buckets)
		var want uint32
		for range 1 + r.IntN(3) {
			f := new(FD)
			l.add(f)
			due := l.wheel.now + 1 + r.Uint32N(buckets)
			l.schedule(f, due)
			if want == 0 || due < want {
				want = due
			}
		}
		if at, ok := l.nextDue(); !ok || at != want {
			t.Fatalf("at %d the next is due at %d, %v; want %d", l.wheel.now, at, ok, want)
		}
	}
}
