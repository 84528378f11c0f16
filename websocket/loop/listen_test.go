package loop_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/looptest"
	"github.com/handfast/handfast/websocket/loop"
)

// listenerKernel is a kernel that records the calls for listeners, which are descriptors below 10.
type listenerKernel struct {
	*looptest.Fake
	armErr error // returned by Arm for listeners
	armed  map[int]loop.Events
	closed []int
}

func (k *listenerKernel) Arm(fd int, token uint64, want loop.Events, first bool) error {
	if fd >= 10 {
		return k.Fake.Arm(fd, token, want, first)
	}
	if k.armErr == nil {
		k.armed[fd] = want
	}
	return k.armErr
}

func (k *listenerKernel) Close(fd int) {
	if fd >= 10 {
		k.Fake.Close(fd)
		return
	}
	k.closed = append(k.closed, fd)
}

func TestStopClosesOneListenerOnce(t *testing.T) {
	k := &listenerKernel{Fake: looptest.New(t, nil), armed: map[int]loop.Events{}}
	ls := loop.Manual(k)
	var stops []func()
	for fd := range 3 {
		stop, err := ls.ListenOn(fd, func(loop.Place) *loop.FD { return nil })
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
	}
	stops[1]()
	stops[1]()
	if !slices.Equal(k.closed, []int{1}) {
		t.Errorf("closed: %v", k.closed)
	}
	stops[0]()
	if !slices.Equal(k.closed, []int{1, 0}) {
		t.Errorf("closed: %v", k.closed)
	}
}

func TestListenerThatCannotBeArmedIsClosed(t *testing.T) {
	k := &listenerKernel{Fake: looptest.New(t, nil), armErr: errors.New("refused")}
	if _, err := loop.Manual(k).ListenOn(3, nil); !errors.Is(err, k.armErr) || !slices.Equal(k.closed, []int{3}) {
		t.Errorf("%v; closed: %v", err, k.closed)
	}
}

// After an accept has failed because descriptors have run out, no listener is armed during the pause. After the pause all remaining
// listeners are armed.
func TestNoDescriptorsPausesEveryListener(t *testing.T) {
	k := &listenerKernel{Fake: looptest.New(t, nil), armed: map[int]loop.Events{}}
	ls := loop.Manual(k)
	accepted := 0
	take := func(p loop.Place) *loop.FD {
		accepted++
		e := new(echo)
		p.Add(&e.fd, e)
		return &e.fd
	}
	for fd := range 3 {
		stop, err := ls.ListenOn(fd, take)
		if err != nil {
			t.Fatal(err)
		}
		if fd == 1 {
			stop()
			delete(k.armed, fd)
		}
	}
	k.FailAccepts, k.Listening = 1, loop.Readable // the kernel reports that the first listener is readable
	k.Client("x")
	begun := k.Clock
	for range 2 {
		ls.Turn()
	}
	if accepted != 0 || len(k.armed) != 2 || k.armed[0] != 0 || k.armed[2] != 0 {
		t.Fatalf("%d accepted; armed: %v", accepted, k.armed)
	}
	k.Listening = 0
	k.Pass(ls, 1)
	if d := k.Clock - begun; len(k.armed) != 2 || k.armed[0] != loop.Readable || k.armed[2] != loop.Readable || d < 5*time.Millisecond || d > 40*time.Millisecond {
		t.Errorf("armed after %v: %v", d, k.armed)
	}
	k.Listening = loop.Readable
	for range 2 {
		ls.Turn()
	}
	if accepted != 1 {
		t.Errorf("%d accepted after the pause", accepted)
	}
}

// A connection that the application rejects is closed.
func TestRejectedConnectionIsClosed(t *testing.T) {
	k := looptest.New(t, nil)
	ls := loop.Manual(k)
	if _, err := ls.ListenOn(looptest.Listener, func(loop.Place) *loop.FD { return nil }); err != nil {
		t.Fatal(err)
	}
	c := k.Client("x")
	k.Play(ls)
	if !c.Gone || ls.Len() != 0 {
		t.Errorf("closed: %v, %d connections", c.Gone, ls.Len())
	}
}
