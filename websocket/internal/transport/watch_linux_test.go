package transport

import (
	"bytes"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// A watch notifies once for each Arm: when bytes arrive, at EOF, and for bytes that were already available.
func TestWatchNotifiesOnceForEachArm(t *testing.T) {
	s, far := sockets(t)
	notified := make(chan bool, 10)
	w := s.Watch(func() { notified <- true })
	for round := range 3 { // the goroutine ends and is started again
		if !w.Arm() {
			t.Fatal("a socket cannot be watched")
		}
		far.Write([]byte("x"))
		bounded.Receive(t, notified)
		far.Write([]byte("y")) // the watch is not armed
		if !w.Arm() {
			t.Fatal("the watch cannot be armed again")
		}
		bounded.Receive(t, notified) // x and y are still unread
		if n := len(notified); n > 0 {
			t.Errorf("round %d: notified %d times more", round, n)
		}
		for got := 0; got < 2; {
			n, err := s.Read(make([]byte, 2-got))
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		w.Stop()
		w.Stop()
	}
	w.Arm()
	far.Close()
	bounded.Receive(t, notified)
	w.Stop()
}

// Watches are distinguished, and a stopped one does not notify.
func TestWatchesOfSeveralSockets(t *testing.T) {
	var count [5]atomic.Int32
	notified := make(chan int, 10)
	var all [5]*Watch
	var fars [5]net.Conn
	for i := range all {
		var s *Stream
		s, fars[i] = sockets(t)
		all[i] = s.Watch(func() { count[i].Add(1); notified <- i })
		if !all[i].Arm() {
			t.Fatal("a socket cannot be watched")
		}
	}
	all[1].Stop()
	all[3].Stop()
	for _, i := range []int{3, 1, 4, 0} {
		fars[i].Write([]byte("x"))
	}
	seen := map[int]bool{bounded.Receive(t, notified): true, bounded.Receive(t, notified): true}
	if !seen[4] || !seen[0] {
		t.Errorf("notified: %v", seen)
	}
	all[1].Arm()
	if i := bounded.Receive(t, notified); i != 1 {
		t.Errorf("after Arm %d is notified", i)
	}
	fars[2].Write([]byte("x"))
	if i := bounded.Receive(t, notified); i != 2 {
		t.Errorf("%d is notified for 2", i)
	}
	for i, w := range all {
		w.Stop()
		if want := int32(1); i != 3 && count[i].Load() != want || i == 3 && count[i].Load() != 0 {
			t.Errorf("%d was notified %d times", i, count[i].Load())
		}
	}
	watches.mu.Lock()
	defer watches.mu.Unlock()
	if n := len(watches.watches); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

func TestWatchUnsupported(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := new(Stream)
	s.Init(near)
	defer s.Close()
	if w := s.Watch(func() {}); w != nil {
		t.Error("a pipe is watched")
	}
	if n, ok := s.Unsent(); n != 0 || ok {
		t.Errorf("a pipe has %d bytes unsent, %v", n, ok)
	}
	closed, _ := sockets(t)
	w := closed.Watch(func() {})
	closed.Close()
	if w.Arm() || w.id != 0 {
		t.Error("a closed socket is watched")
	}
	if _, ok := closed.Unsent(); ok {
		t.Error("a closed socket has bytes unsent")
	}
}

func TestUnsent(t *testing.T) {
	s, far := sockets(t)
	if n, ok := s.Unsent(); n != 0 || !ok {
		t.Errorf("%d, %v before the first write", n, ok)
	}
	b := make([]byte, 1<<20)
	sent := 0
	for {
		n, err := s.TryWrite(b)
		if err != nil {
			t.Fatal(err)
		}
		if sent += n; n == 0 {
			break
		}
	}
	if n, ok := s.Unsent(); n <= 0 || n > sent || !ok {
		t.Errorf("%d of %d, %v", n, sent, ok)
	}
	got := newReader(far, sent)
	bounded.Receive(t, got)
	bounded.Until(t, func() bool { n, ok := s.Unsent(); return n == 0 && ok })
	if s.Sent() != int64(sent) {
		t.Errorf("%d bytes sent, want %d", s.Sent(), sent)
	}
}

// If a watch is added when the goroutine is about to end, because the last watch has been removed, the goroutine continues.
func TestWatchAddedWhileTheGoroutineEnds(t *testing.T) {
	s, far := sockets(t)
	notified := make(chan bool, 1)
	w := s.Watch(func() { notified <- true })
	if !w.Arm() {
		t.Fatal("a socket cannot be watched")
	}
	defer w.Stop()
	watches.mu.Lock() // like Stop followed by Arm, before the goroutine has noticed
	watches.epoll.SetReadDeadline(time.Unix(1, 0))
	watches.mu.Unlock()
	far.Write([]byte("x"))
	bounded.Receive(t, notified)

	// When a deadline passes, earlier notifications are not repeated.
	watches.mu.Lock()
	watches.epoll.SetReadDeadline(time.Unix(1, 0))
	watches.mu.Unlock()
	other, otherFar := sockets(t)
	ready := make(chan bool, 1)
	later := other.Watch(func() { ready <- true })
	if !later.Arm() {
		t.Fatal("another socket cannot be watched")
	}
	defer later.Stop()
	otherFar.Write([]byte("y"))
	bounded.Receive(t, ready)
	if len(notified) > 0 {
		t.Error("notified again without an Arm")
	}
}

// The ID of a watch has 64 bits, in two halves of an epoll event.
func TestWatchIDsHave64Bits(t *testing.T) {
	watches.mu.Lock()
	watches.last = max(watches.last, 6<<32)
	watches.mu.Unlock()
	s, far := sockets(t)
	notified := make(chan bool, 1)
	w := s.Watch(func() { notified <- true })
	if !w.Arm() {
		t.Fatal("a socket cannot be watched")
	}
	defer w.Stop()
	if w.id <= 6<<32 {
		t.Errorf("number %#x", w.id)
	}
	far.Write([]byte("x"))
	bounded.Receive(t, notified)
}

// However many sockets are watched, one goroutine waits for all of them.
func TestWatchesShareAGoroutine(t *testing.T) {
	for range 3 {
		s, _ := sockets(t)
		w := s.Watch(func() {})
		if !w.Arm() {
			t.Fatal("a socket cannot be watched")
		}
		defer w.Stop()
	}
	stacks := make([]byte, 1<<20)
	bounded.Until(t, func() bool { // the goroutine of an earlier test may be about to end
		return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("(*watcher).run(")) == 1
	})
}

// Either descriptor of a call may be closed: that of the socket, or that of the watcher.
func TestWatchOfAClosedDescriptor(t *testing.T) {
	s, _ := sockets(t)
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for name, raws := range map[string][2]syscall.RawConn{"epoll": {closed, s.socket().raw}, "socket": {s.socket().raw, closed}} {
		ws := watcher{raw: raws[0]}
		if err := ws.control(raws[1], syscall.EPOLL_CTL_ADD, new(syscall.EpollEvent)); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
