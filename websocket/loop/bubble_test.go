package loop

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// bubbleKernel is a kernel for a bubble of testing/synctest: its waits use the fake clock, and it records the calls.
type bubbleKernel struct {
	idleKernel
	found    chan Event
	wakes    chan struct{}
	start    time.Time
	released int

	mu    sync.Mutex
	calls []string
}

func newBubble() *bubbleKernel {
	return &bubbleKernel{found: make(chan Event), wakes: make(chan struct{}, 1), start: time.Now()}
}

func (k *bubbleKernel) Now() time.Duration { return time.Since(k.start) }
func (k *bubbleKernel) Release()           { k.released++ }
func (k *bubbleKernel) Close(fd int)       { k.record("close %d", fd) }

func (k *bubbleKernel) Wake() {
	select {
	case k.wakes <- struct{}{}:
	default:
	}
}

func (k *bubbleKernel) Wait(events []Event, timeout time.Duration) (int, error) {
	var late <-chan time.Time
	if timeout >= 0 {
		late = time.After(timeout)
	}
	select {
	case events[0] = <-k.found:
		return 1, nil
	case <-k.wakes:
	case <-late:
	}
	return 0, nil
}

func (k *bubbleKernel) Arm(fd int, _ uint64, want Events, first bool) error {
	k.record("arm %d %s %v", fd, names(want), first)
	return nil
}

func (k *bubbleKernel) record(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, fmt.Sprintf(format, args...))
}

// takeCalls returns the calls since its previous call.
func (k *bubbleKernel) takeCalls() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := k.calls
	k.calls = nil
	return calls
}

// names returns one letter for each event of a set.
func names(e Events) string {
	s := ""
	for i, letter := range "rwhodnH" {
		if e&(1<<i) != 0 {
			s += string(letter)
		}
	}
	return s
}

// scripted is a Handler that calls a function of the test, and records its calls.
type scripted struct {
	FD
	serve func(why Events)
	lost  chan bool // receives true when the loop is lost; may be nil
	mu    sync.Mutex
	calls []string
}

func (h *scripted) record(what string, why Events) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, what+" "+names(why))
}

func (h *scripted) Begin(_ *Driver, why Events) bool {
	h.record("begin", why)
	return h.serve != nil
}

func (h *scripted) Serve(_ *Driver, why Events) {
	h.record("serve", why)
	h.Lock()
	serve := h.serve
	h.Unlock()
	serve(why)
}

func (h *scripted) Lost() {
	h.record("lost", 0)
	if h.lost != nil {
		h.lost <- true
	}
}

func (h *scripted) takeCalls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := h.calls
	h.calls = nil
	return seen
}

// do calls f with h locked.
func (h *scripted) do(f func()) {
	h.Lock()
	defer h.Unlock()
	f()
}

// inBubble runs f with one loop, which ends once f has closed its descriptors.
func inBubble(t *testing.T, f func(t *testing.T, ls *Loops, k *bubbleKernel)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := newBubble()
		ls, err := New(Options{Loops: 1, Kernel: func() (Kernel, error) { return k, nil }})
		if err != nil {
			t.Fatal(err)
		}
		f(t, ls, k)
		ended := make(chan struct{})
		go func() { ls.Wait(); close(ended) }()
		ls.Stop()
		bounded.Receive(t, ended)
		if l := ls.loops[0]; k.released != 1 || l.driver.Load() != nil || l.hold() {
			t.Errorf("the loop has ended: its kernel was released %d times, it has a driver: %v, it can be held: %v", k.released, l.driver.Load() != nil, l.hold())
		}
	})
}

func wantCalls(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", when, got, want)
	}
}

// While the holder of a descriptor runs without the loop, the descriptor is armed for one event at a time, and only for Writable:
// the holder itself reads, and a hangup would be reported repeatedly. When the holder returns, the descriptor is armed for all
// requested events, and is visited.
func TestArmedEventsWhileTheLoopIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, ls *Loops, k *bubbleKernel) {
		h, release := new(scripted), make(chan Events)
		h.serve = func(Events) {
			h.Block()
			want := <-release
			h.do(func() {
				if want == 0 {
					h.Close()
					return
				}
				h.Arm(want) //nolint:errcheck // Arm of the fake kernel does not fail
			})
		}
		ls.Place(7).Add(&h.FD, h)
		h.do(h.Wake)
		synctest.Wait()
		wantCalls(t, "a new descriptor", h.takeCalls(), "begin rn", "serve rn", "lost ")
		wantCalls(t, "a new descriptor whose Serve blocks", k.takeCalls(), "arm 7 o true")

		h.do(func() { h.Arm(Readable | Writable) }) //nolint:errcheck // Arm of the fake kernel does not fail
		wantCalls(t, "Arm meanwhile", k.takeCalls(), "arm 7 wo false")
		k.found <- Event{h.token(), Writable}
		h.do(h.Wake)
		h.do(h.Wake)
		synctest.Wait()
		wantCalls(t, "an event and a wake meanwhile", h.takeCalls(), "begin wH", "begin nH")
		if h.do(func() { h.Arm(Writable) }); h.Armed() != Writable { //nolint:errcheck // Arm of the fake kernel does not fail
			t.Errorf("armed for %s", names(h.Armed()))
		}
		wantCalls(t, "Arm again", k.takeCalls(), "arm 7 wo false")

		release <- Readable
		synctest.Wait()
		wantCalls(t, "after Serve has returned, the next visit", h.takeCalls(), "begin n", "serve n", "lost ")
		wantCalls(t, "after Serve has returned", k.takeCalls(), "arm 7 o false", "arm 7 r false", "arm 7 o false")

		release <- 0
		synctest.Wait()
		wantCalls(t, "it has closed", k.takeCalls(), "close 7")
		if h.do(h.Wake); len(h.takeCalls()) != 0 || ls.Len() != 0 {
			t.Error("a closed descriptor is visited, or counted")
		}
	})
}

// Arming for the same events again makes no system call, consecutive wakes cause a single visit, and no call is made for a closed
// descriptor.
func TestArmAndWakeOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, ls *Loops, k *bubbleKernel) {
		h := new(scripted)
		ls.Place(7).Add(&h.FD, h)
		for _, step := range []struct {
			want  Events
			calls []string
		}{
			{0, []string{"arm 7  true"}},
			{Readable, []string{"arm 7 r false"}},
			{Readable, nil},
			{Readable | Writable, []string{"arm 7 rw false"}},
			{0, []string{"arm 7  false"}},
			{0, nil},
		} {
			h.do(func() { h.Arm(step.want) }) //nolint:errcheck // Arm of the fake kernel does not fail
			if h.Armed() != step.want {
				t.Errorf("armed for %s, want %s", names(h.Armed()), names(step.want))
			}
			wantCalls(t, "Arm "+names(step.want), k.takeCalls(), step.calls...)
		}
		h.do(func() { h.Wake(); h.Wake() })
		synctest.Wait()
		wantCalls(t, "two wakes", h.takeCalls(), "begin n")
		h.do(h.Wake)
		synctest.Wait()
		wantCalls(t, "a wake after that", h.takeCalls(), "begin n")

		h.do(func() {
			h.serve = func(Events) { h.do(func() { h.Close(); h.Close(); h.Arm(Readable); h.Wake() }) } //nolint:errcheck // Arm of the fake kernel does not fail
			h.Wake()
		})
		synctest.Wait()
		wantCalls(t, "the last visit", h.takeCalls(), "begin n", "serve n")
		wantCalls(t, "it has closed", k.takeCalls(), "close 7")
	})
}

// A visit for a reason other than a wake does not cancel a pending wake, and does not mark a descriptor as new.
func TestWakeDuringAVisitIsKept(t *testing.T) {
	ls := Manual(new(wakeKernel))
	h := new(scripted)
	Place{ls.loops[0], 7}.Add(&h.FD, h)
	h.do(h.Wake)
	ls.loops[0].driver.Load().visit(task{f: &h.FD, what: Due})
	h.do(h.Wake)
	wantCalls(t, "a visit", h.takeCalls(), "begin d")
	for range 2 {
		ls.Turn()
	}
	wantCalls(t, "two wakes", h.takeCalls(), "begin rn")
}

// The monitor checks at long intervals until it finds a handler that does not return, then at short intervals because others are likely to
// follow, and it sleeps between visits. The time until it detects the next such handler does not depend on how long it has slept.
func TestMonitorInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, ls *Loops, _ *bubbleKernel) {
		release := make(chan struct{})
		defer synctest.Wait()
		defer close(release)
		for i, tt := range []struct {
			name   string
			pause  time.Duration // time since the last blocked handler was detected
			lo, hi time.Duration // bounds of the time until the next blocked handler is detected
			sleeps bool
		}{
			{"the first", 0, 2 * normalInterval, 2 * normalInterval, false},
			{"the next", 0, 2 * fastInterval, 2 * fastInterval, false},
			{"soon after that", fastChecks * fastInterval * 4 / 5, fastInterval, 2 * fastInterval, false},
			{"later", fastChecks * fastInterval * 6 / 5, 2 * normalInterval, 2 * normalInterval, true},
			{"after a second", time.Second, 2 * normalInterval, 2 * normalInterval, true},
			{"after another", time.Second, 2 * normalInterval, 2 * normalInterval, true},
		} {
			time.Sleep(tt.pause) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
			if ls.monitor.asleep.Load() != tt.sleeps {
				t.Errorf("%s: the monitor sleeps: %v", tt.name, !tt.sleeps)
			}
			h := &scripted{lost: make(chan bool, 1)}
			h.serve = func(Events) {
				<-release
				h.do(h.Close)
			}
			ls.Place(10+i).Add(&h.FD, h)
			begun := time.Now()
			h.do(h.Wake)
			bounded.Receive(t, h.lost)
			if d := time.Since(begun); d < tt.lo || d > tt.hi {
				t.Errorf("%s: noticed after %v, want %v to %v", tt.name, d, tt.lo, tt.hi)
			}
		}
	})
}
