package transport

import (
	"crypto/tls"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// watcher waits for bytes on sockets that are not being read. A watcher has one epoll instance, and one goroutine while any socket is
// watched.
type watcher struct {
	mu      sync.Mutex
	epoll   *os.File // created on first use; the goroutine waits until it is readable
	raw     syscall.RawConn
	running bool
	last    uint64
	watches map[uint64]*Watch
}

var watches = watcher{watches: map[uint64]*Watch{}}

// Watch waits for bytes on one socket.
type Watch struct {
	raw    syscall.RawConn
	id     uint64
	notify func()
}

// Watch returns a Watch that calls notify, on a separate goroutine, when bytes have arrived after Arm. It returns nil if the system cannot
// report the arrival of bytes.
func (s *Stream) Watch(notify func()) *Watch {
	p := s.socket()
	if p == nil {
		return nil
	}
	return &Watch{raw: p.raw, notify: notify}
}

// socket returns the socket below s, or nil if there is none that can be polled.
func (s *Stream) socket() *poller {
	if t, ok := s.rwc.(*tls.Conn); ok {
		return newPoller(t.NetConn())
	}
	return s.poller
}

// Arm makes w notify once when bytes are available. It returns false if that is not possible. The caller must not call Arm concurrently
// with another Arm or Stop.
func (w *Watch) Arm() bool {
	op := syscall.EPOLL_CTL_MOD
	if w.id == 0 {
		op = syscall.EPOLL_CTL_ADD
		if !watches.add(w) {
			return false
		}
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     int32(uint32(w.id)), Pad: int32(uint32(w.id >> 32)),
	}
	if err := watches.control(w.raw, op, &event); err != nil {
		w.Stop()
		return false
	}
	return true
}

// Stop cancels a pending notification. w may be armed again.
func (w *Watch) Stop() {
	if w.id == 0 {
		return
	}
	_ = watches.control(w.raw, syscall.EPOLL_CTL_DEL, new(syscall.EpollEvent)) // a closed socket has already been removed
	watches.remove(w)
}

func (ws *watcher) control(raw syscall.RawConn, op int, event *syscall.EpollEvent) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		cerr := ws.raw.Control(func(epoll uintptr) {
			failed = syscall.EpollCtl(int(epoll), op, int(fd), event)
		})
		if cerr != nil {
			failed = cerr
		}
	})
	if err != nil {
		return err
	}
	return failed
}

func (ws *watcher) add(w *Watch) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.epoll == nil {
		fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return false
		}
		if err := syscall.SetNonblock(fd, true); err != nil { // so that the runtime can poll the epoll instance like a socket
			syscall.Close(fd) //nolint:errcheck // nothing was written to the descriptor, so closing it loses no data
			return false
		}
		f := os.NewFile(uintptr(fd), "epoll")
		raw, err := f.SyscallConn()
		if err != nil || f.SetReadDeadline(time.Time{}) != nil {
			f.Close()
			return false
		}
		ws.epoll, ws.raw = f, raw
	}
	ws.last++
	w.id = ws.last
	ws.watches[w.id] = w
	if !ws.running {
		ws.running = true
		go ws.run()
	}
	return true
}

func (ws *watcher) remove(w *Watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.watches, w.id)
	w.id = 0
	if len(ws.watches) == 0 {
		ws.epoll.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // setting a deadline has succeeded before
	}
}

// run calls notify functions until no socket is watched.
func (ws *watcher) run() {
	events := make([]syscall.EpollEvent, 128)
	for {
		n := 0
		_ = ws.raw.Read(func(fd uintptr) bool { // Read fails when the deadline has passed
			for {
				var err error
				n, err = syscall.EpollWait(int(fd), events, 0)
				if err != syscall.EINTR {
					return n > 0
				}
			}
		})
		ws.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			if w := ws.watches[uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32]; w != nil {
				go w.notify()
			}
		}
		if len(ws.watches) == 0 {
			ws.running = false
			ws.mu.Unlock()
			return
		}
		if n <= 0 {
			// A watch was added after the last one had been removed.
			ws.epoll.SetReadDeadline(time.Time{}) //nolint:errcheck // setting a deadline has succeeded before
		}
		ws.mu.Unlock()
	}
}

// Unsent returns the number of bytes that the kernel has accepted and the peer has not acknowledged. If the system does not report the
// number, ok is false.
func (s *Stream) Unsent() (n int, ok bool) {
	p := s.socket()
	if p == nil {
		return 0, false
	}
	var unsent int32
	err := p.raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&unsent)))
		ok = errno == 0
	})
	return int(unsent), ok && err == nil
}
