package loop

import (
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// nopHandler is a Handler without effect, for tests that perform the visits themselves.
type nopHandler struct{ lost int }

func (*nopHandler) Begin(*Driver, Events) bool { return false }
func (*nopHandler) Serve(*Driver, Events)      {}
func (h *nopHandler) Lost()                    { h.lost++ }

func (idleKernel) Arm(int, uint64, Events, bool) error { return nil }
func (idleKernel) Release()                            {}

// The monitor takes a loop over at the second check that observes the same visit. The results of check report what it has observed.
func TestMonitorTakesOverAtTheSecondCheck(t *testing.T) {
	ls := Manual(new(wakeKernel))
	ls.monitor.last = make([]observation, 1)
	l, h := ls.loops[0], new(nopHandler)
	d := l.driver.Load()
	f := new(FD)
	Place{l, 7}.Add(f, h)

	visit := func() {
		f.Lock()
		d.beginVisit(f)
		f.Unlock()
	}
	look := func(what string, wantFound, wantVisit bool) {
		t.Helper()
		if found, inVisit := ls.monitor.check(ls); found != wantFound || inVisit != wantVisit {
			t.Errorf("%s: found %v, in a visit %v; want %v, %v", what, found, inVisit, wantFound, wantVisit)
		}
	}
	look("a driver that was not seen before", false, false)
	look("no visit", false, false)
	visit()
	look("a visit", false, true)
	if !d.endVisit(f) {
		t.Fatal("the loop is lost after one look")
	}
	visit()
	look("another visit", false, true)
	if h.lost != 0 {
		t.Error("a visit that was seen once has lost the loop")
	}

	// From here on the driver that takes over runs in its own goroutine, until the loop has no descriptors left.
	ls.running.Add(1)
	ls.active.Store(1)
	l.stop()
	look("the same visit again", true, true)
	if h.lost != 1 || l.takeOver(d, f, d.state.Load()) {
		t.Errorf("the loop was taken %d times, and could be taken again", h.lost)
	}
	f.closed = true
	if d.endVisit(f) {
		t.Error("a driver that has lost the loop still has it")
	}
	ended := make(chan struct{})
	go func() { ls.Wait(); close(ended) }()
	bounded.Receive(t, ended)
}
