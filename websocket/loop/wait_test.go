package loop

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// wakeKernel is a kernel that counts the calls of Wake, and whose waits fail with err.
type wakeKernel struct {
	idleKernel
	wakes int
	err   error
}

func (k *wakeKernel) Wake() { k.wakes++ }

func (k *wakeKernel) Wait([]Event, time.Duration) (int, error) { return 0, k.err }

// A waiting driver is woken once for events that cannot wait, and for nothing else.
func TestEndOfAWait(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(*loop, *FD)
		wakes int
	}{
		"a visit":                        {func(l *loop, f *FD) { l.requestVisit(f); l.requestVisit(f) }, 1},
		"an earlier deadline":            {func(l *loop, f *FD) { l.schedule(f, 99) }, 1},
		"a deadline that is no earlier":  {func(l *loop, f *FD) { l.schedule(f, 100) }, 0},
		"the end":                        {func(l *loop, _ *FD) { l.stop() }, 1},
		"the last descriptor in the end": {func(l *loop, f *FD) { l.ended = true; l.remove(f) }, 1},
		"the last descriptor before":     {func(l *loop, f *FD) { l.remove(f) }, 0},
		"one of two in the end":          {func(l *loop, f *FD) { l.ended = true; l.add(new(FD)); l.remove(f) }, 0},
	} {
		k := new(wakeKernel)
		l := newLoop(new(Loops), k)
		f := new(FD)
		l.add(f)
		l.asleep, l.wakeAt = true, 100
		if tt.do(l, f); k.wakes != tt.wakes || l.asleep != (tt.wakes == 0) {
			t.Errorf("%s: woken %d times, asleep %v", name, k.wakes, l.asleep)
		}
	}
}

func TestFailedWaitIsReported(t *testing.T) {
	k := &wakeKernel{err: errors.New("it fails")}
	var got error
	ls := &Loops{failed: func(err error) { got = err }}
	l := newLoop(ls, k)
	if d := newDriver(l); !d.turn() || got != k.err { //nolint:errorlint // the loop reports the error of the kernel unwrapped
		t.Errorf("reported: %v", got)
	}
	ls.failed = nil
	if !l.driver.Load().turn() {
		t.Error("the loop has ended")
	}
}

// A request for one descriptor makes Busy return true for the whole loop until the driver has fetched the request.
func TestBusyIsForTheWholeLoop(t *testing.T) {
	l := newLoop(new(Loops), new(wakeKernel))
	asked, other := new(FD), new(FD)
	l.add(asked)
	l.add(other)
	if other.Busy() {
		t.Error("busy before anything was asked for")
	}
	for range 2 {
		l.requestVisit(asked)
		if !other.Busy() {
			t.Error("not busy, although another descriptor is going to be visited")
		}
	}
	if !l.takeTodo() || len(l.batch) != 2 || other.Busy() {
		t.Errorf("after a batch of %d was fetched: busy %v", len(l.batch), other.Busy())
	}
}

// A finished batch does not refer to any descriptor, because its memory may only be reused much later.
func TestFinishedBatchIsCleared(t *testing.T) {
	ls := Manual(new(wakeKernel))
	l := ls.loops[0]
	f := new(FD)
	Place{l, 7}.Add(f, new(nopHandler))
	for range 2 {
		l.requestVisit(f)
		if !ls.Turn() {
			t.Fatal("the loop has ended")
		}
	}
	if cap(l.batch) == 0 || cap(l.todo) == 0 {
		t.Fatal("there was no batch")
	}
	for _, w := range append(l.batch[:cap(l.batch)], l.todo[:cap(l.todo)]...) {
		if w != (task{}) {
			t.Errorf("the finished batch holds %+v", w)
		}
	}
}

// The panic of a Handler propagates unchanged to the caller, and the Handler is not called again.
func TestPanicInServePropagates(t *testing.T) {
	ls := Manual(new(wakeKernel))
	l := ls.loops[0]
	f, h := new(FD), new(panicHandler)
	Place{l, 7}.Add(f, h)
	l.requestVisit(f)
	defer func() {
		if got := recover(); got != any(h) || h.calls != 1 {
			t.Errorf("recovered %v after %d calls", got, h.calls)
		}
	}()
	ls.Turn()
	t.Error("Turn returned instead of panicking")
}

// panicHandler is a Handler whose Serve panics with itself.
type panicHandler struct {
	nopHandler
	calls int
}

func (*panicHandler) Begin(*Driver, Events) bool { return true }

func (h *panicHandler) Serve(*Driver, Events) {
	h.calls++
	panic(h)
}

// Calm reports true only for the last visit of a batch, and only during the last piece of work of that visit.
func TestCalmIsTheLastVisitOfABatch(t *testing.T) {
	ls := Manual(new(wakeKernel))
	l := ls.loops[0]
	var got []bool
	for range 3 {
		v := &calmHandler{calm: &got}
		Place{l, 7}.Add(&v.FD, v)
		l.requestVisit(&v.FD)
	}
	ls.Turn()
	want := []bool{false, false, false, false, true, false}
	if !slices.Equal(got, want) {
		t.Errorf("in three visits, with and without more to do: %v, want %v", got, want)
	}
}

// calmHandler is a Handler whose Serve records the result of Calm, before and after it announces more work.
type calmHandler struct {
	FD
	nopHandler
	calm *[]bool
}

func (*calmHandler) Begin(*Driver, Events) bool { return true }

func (v *calmHandler) Serve(d *Driver, _ Events) {
	*v.calm = append(*v.calm, v.Calm())
	d.Last(false)
	*v.calm = append(*v.calm, v.Calm())
}
