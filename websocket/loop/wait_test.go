package loop

import (
	"errors"
	"testing"
	"time"
)

// sleeper is a kernel that counts the wakes, and whose waits fail with err.
type sleeper struct {
	still
	wakes int
	err   error
}

func (k *sleeper) Wake() { k.wakes++ }

func (k *sleeper) Wait([]Event, time.Duration) (int, error) { return 0, k.err }

// A driver that waits is woken for what cannot wait, once, and for nothing else.
func TestWhatEndsAWait(t *testing.T) {
	for name, tt := range map[string]struct {
		do    func(*loop, *FD)
		wakes int
	}{
		"a visit":                        {func(l *loop, f *FD) { l.ask(f); l.ask(f) }, 1},
		"an earlier deadline":            {func(l *loop, f *FD) { l.schedule(f, 99) }, 1},
		"a deadline that is no earlier":  {func(l *loop, f *FD) { l.schedule(f, 100) }, 0},
		"the end":                        {func(l *loop, _ *FD) { l.stop() }, 1},
		"the last descriptor in the end": {func(l *loop, f *FD) { l.ended = true; l.remove(f) }, 1},
		"the last descriptor before":     {func(l *loop, f *FD) { l.remove(f) }, 0},
		"one of two in the end":          {func(l *loop, f *FD) { l.ended = true; l.add(new(FD)); l.remove(f) }, 0},
	} {
		k := new(sleeper)
		l := newLoop(new(Loops), k)
		f := new(FD)
		l.add(f)
		l.asleep, l.wakeAt = true, 100
		if tt.do(l, f); k.wakes != tt.wakes || l.asleep != (tt.wakes == 0) {
			t.Errorf("%s: woken %d times, asleep %v", name, k.wakes, l.asleep)
		}
	}
}

func TestWaitThatFailsIsReported(t *testing.T) {
	k := &sleeper{err: errors.New("it fails")}
	var got error
	ls := &Loops{failed: func(err error) { got = err }}
	l := newLoop(ls, k)
	if d := newDriver(l); !d.turn() || got != k.err { //nolint:errorlint // it is never wrapped
		t.Errorf("reported: %v", got)
	}
	ls.failed = nil
	if !l.driver.Load().turn() {
		t.Error("the loop has ended")
	}
}
