package loop

import (
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// tcpPair returns the two ends of a TCP connection, the second one as a descriptor for k.
func tcpPair(t *testing.T) (near net.Conn, fd int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if fd, err = takeFD(far); err != nil {
		t.Fatal(err)
	}
	near.SetDeadline(time.Now().Add(10 * time.Second))
	return near, fd
}

func newTestKernel(t *testing.T) *epoll {
	t.Helper()
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Release)
	return k.(*epoll)
}

func TestUnsentCountsUnacknowledgedBytes(t *testing.T) {
	k := newTestKernel(t)
	near, fd := tcpPair(t)
	defer near.Close()
	if n := k.Unsent(fd); n != 0 {
		t.Errorf("%d bytes before the first write", n)
	}
	sent := 0
	for b := make([]byte, 64<<10); ; {
		n, err := k.Write(fd, b)
		sent += n
		if err == ErrAgain { //nolint:errorlint // ErrAgain is never wrapped
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := k.Unsent(fd); n <= 0 || n > sent {
		t.Errorf("%d bytes of %d, and the peer has read nothing", n, sent)
	}
	if n := k.Unsent(-1); n != -1 {
		t.Errorf("%d bytes of an invalid descriptor", n)
	}
	k.Close(fd)
}

// Writev writes two slices, either of which may be empty, without a gap.
func TestWritevOfTwoPieces(t *testing.T) {
	k := newTestKernel(t)
	near, fd := tcpPair(t)
	defer near.Close()
	for _, p := range [][2]string{{"ab", "cd"}, {"", "abcd"}, {"abcd", ""}, {"a", "bcd"}} {
		n, err := k.Writev(fd, [2][]byte{[]byte(p[0]), []byte(p[1])})
		if n != 4 || err != nil {
			t.Fatalf("%q: %d, %v", p, n, err)
		}
		b := make([]byte, 4)
		if _, err := io.ReadFull(near, b); err != nil || string(b) != "abcd" {
			t.Errorf("%q: %q, %v", p, b, err)
		}
	}
	k.CloseWrite(fd)
	if _, err := near.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // io.EOF is never wrapped
		t.Errorf("after CloseWrite: %v", err)
	}
	k.Close(fd)
	if _, err := k.Writev(-1, [2][]byte{[]byte("a"), nil}); err == nil || errors.Is(err, ErrAgain) {
		t.Errorf("an invalid descriptor: %v", err)
	}
}

// A wake terminates one Wait, and is not reported as an event. A wake before the Wait has the same effect.
func TestWakeEndsOneWait(t *testing.T) {
	k := newTestKernel(t)
	events := make([]Event, 4)
	for range 2 {
		k.Wake()
		if n, err := k.Wait(events, 10*time.Second); n != 0 || err != nil {
			t.Errorf("%d events, %v", n, err)
		}
	}
	if k.Now() > 10*time.Second {
		t.Error("the wakes did not terminate the waits")
	}
	defer time.AfterFunc(10*time.Second, k.Wake).Stop()
	if n, err := k.Wait(events, 1); n != 0 || err != nil || k.Now() > 10*time.Second {
		t.Errorf("the shortest wait: %d events, %v", n, err)
	}
	begun := k.Now()
	if n, err := k.Wait(events, 2*time.Millisecond); n != 0 || err != nil || k.Now()-begun < 2*time.Millisecond {
		t.Errorf("after the wakes: %d events, %v, %v", n, err, k.Now()-begun)
	}
}

// A ready descriptor is reported immediately, with its token, for as long as it is ready. A new kernel reports nothing.
func TestWaitReportsReadyDescriptors(t *testing.T) {
	k := newTestKernel(t)
	events := make([]Event, 4)
	if n, err := k.Wait(events, 2*time.Millisecond); n != 0 || err != nil || k.Now() < 2*time.Millisecond {
		t.Errorf("a new kernel: %d events after %v, %v", n, k.Now(), err)
	}
	other, once := tcpPair(t)
	defer other.Close()
	defer k.Close(once)
	want := map[uint64]Events{}
	for token := uint64(6 << 32); token < 6<<32+3; token++ {
		near, fd := tcpPair(t)
		defer near.Close()
		defer k.Close(fd)
		if err := k.Arm(fd, token, Writable, true); err != nil {
			t.Fatal(err)
		}
		want[token] = Writable
	}
	found := func(when string, timeout time.Duration) {
		t.Helper()
		n, err := k.Wait(events, timeout)
		got := map[uint64]Events{}
		for _, e := range events[:max(n, 0)] {
			got[e.Token] = e.Ready
		}
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s, waiting for %v: %v, %v; want %v", when, timeout, got, err, want)
		}
	}
	for _, timeout := range []time.Duration{10 * time.Second, 0, -1, 0} {
		found("at first", timeout)
	}
	if err := k.Arm(once, 7, Writable|Once, true); err != nil {
		t.Fatal(err)
	}
	want[7] = Writable
	for range 2 { // the second wait does not report it
		found("with one that is armed once", 0)
		delete(want, 7)
	}
	if n, err := k.Wait(events[:2], 0); n != 2 || err != nil {
		t.Errorf("%d events of three where there is room for two, %v", n, err)
	}
	for _, timeout := range []time.Duration{time.Second, 0} {
		if allocs := testing.AllocsPerRun(100, func() { k.Wait(events, timeout) }); allocs != 0 { //nolint:errcheck // the calls above have checked the error of Wait
			t.Errorf("waiting for %v: %v allocations", timeout, allocs)
		}
	}
	defer func(fd int) { k.fd = fd }(k.fd)
	k.fd = -1
	for _, timeout := range []time.Duration{time.Second, 0} {
		if n, err := k.Wait(events, timeout); n != 0 || !errors.Is(err, syscall.EBADF) {
			t.Errorf("a kernel without a descriptor: %d, %v", n, err)
		}
	}
}

// unixListener returns the descriptor of a listener at a path, and the path.
func unixListener(t *testing.T) (fd int, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if fd, err = listenerFD(l); err != nil {
		t.Fatal(err)
	}
	return fd, path
}

// When descriptors run out, calls that need one fail without side effects. A pending connection can be accepted once a descriptor
// is available again.
func TestOutOfDescriptors(t *testing.T) {
	k := newTestKernel(t)
	listener, path := unixListener(t)
	defer k.Close(listener)
	near, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	lowest := freeFD(t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = uint64(lowest)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	_, err1 := NewKernel()
	n2, err2 := takeFD(near)
	n3, err3 := k.Accept(listener)
	few.Cur++
	err4 := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few)
	_, err5 := NewKernel()
	if err := errors.Join(err4, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err1, syscall.EMFILE) || n2 != 0 || !errors.Is(err2, syscall.EMFILE) || n3 != 0 || err3 != ErrNoDescriptors { //nolint:errorlint // NewKernel returns ErrNoDescriptors unwrapped
		t.Errorf("without a descriptor: %v; %d, %v; %d, %v", err1, n2, err2, n3, err3)
	}
	if now := freeFD(t); !errors.Is(err5, syscall.EMFILE) || now != lowest {
		t.Errorf("with one descriptor instead of two: %v; the next descriptor is %d, and was %d", err5, now, lowest)
	}
	far, err := k.Accept(listener)
	if err != nil {
		t.Fatal(err)
	}
	k.Close(far)
}

// TCP_NODELAY is set on sockets that are accepted from a TCP listener.
func TestAcceptedSocketsDoNotDelay(t *testing.T) {
	k := newTestKernel(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := listenerFD(l)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close(listener)
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	l.Close()
	fd, err := k.Accept(listener)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close(fd)
	if on, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY); on != 1 || err != nil {
		t.Errorf("TCP_NODELAY is %d, %v", on, err)
	}
}

// The deadline of a wait is only set if the previous deadline has passed or is too late. An earlier deadline is kept.
func TestDeadlineOfAWait(t *testing.T) {
	const now = 10
	for _, tt := range []struct {
		until, timeout, want time.Duration
		set                  bool
	}{
		{0, -1, 0, false},
		{0, 5, 15, true},
		{1, -1, 0, true},
		{1, 5, 15, true},
		{1, 0, 10, true},
		{10, -1, 0, true},
		{10, 5, 15, true},
		{11, -1, 11, false},
		{11, 5, 11, false},
		{15, 5, 15, false},
		{16, 5, 15, true},
		{16, -1, 16, false},
	} {
		if got, set := nextDeadline(tt.until, now, tt.timeout); got != tt.want || set != tt.set {
			t.Errorf("%d until %d: %d, %v; want %d, %v", tt.timeout, tt.until, got, set, tt.want, tt.set)
		}
	}
}

// A wait whose deadline has passed before its first poll reports no events, whatever the previous wait reported.
func TestWaitWithPassedDeadline(t *testing.T) {
	k := newTestKernel(t)
	near, fd := tcpPair(t)
	defer near.Close()
	defer k.Close(fd)
	if err := k.Arm(fd, 1, Writable, true); err != nil {
		t.Fatal(err)
	}
	events := make([]Event, 4)
	if n, err := k.Wait(events, 10*time.Second); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := k.file.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	k.deadline = k.Now() + 5*time.Second // the deadline is early enough to be kept
	if n, err := k.Wait(events, 10*time.Second); n != 0 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}

// A failed call does not return a number that could be mistaken for a descriptor or a byte count.
func TestFailedCalls(t *testing.T) {
	k := newTestKernel(t)
	closed, fd := tcpPair(t)
	defer k.Close(fd)
	closed.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	idle, err := listenerFD(l)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close(idle)
	l.Close()
	if err := k.Arm(fd, 1, Readable, true); err != nil {
		t.Fatal(err)
	}
	if n, err := k.Wait(make([]Event, 1), 10*time.Second); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	b := make([]byte, 1)
	if n, err := k.Read(fd, b); n != 0 || err != io.EOF { //nolint:errorlint // io.EOF is never wrapped
		t.Errorf("at the end: %d, %v", n, err)
	}
	for name, call := range map[string]func() (int, error){
		"a connection that is closed": func() (int, error) { return takeFD(closed) },
		"a listener that is closed":   func() (int, error) { return listenerFD(l) },
		"something else":              func() (int, error) { return dup(t) },
		"a connection never opened":   func() (int, error) { return takeFD(new(net.TCPConn)) },
		"Accept of nothing":           func() (int, error) { return k.Accept(idle) },
		"Accept":                      func() (int, error) { return k.Accept(-1) },
		"Read":                        func() (int, error) { return k.Read(-1, b) },
		"Write":                       func() (int, error) { return k.Write(-1, b) },
		"Writev":                      func() (int, error) { return k.Writev(-1, [2][]byte{b, b}) },
		"Writev of nothing":           func() (int, error) { return k.Writev(-1, [2][]byte{}) },
		"Arm":                         func() (int, error) { return 0, k.Arm(-1, 1, Readable, true) },
	} {
		if n, err := call(); n != 0 || err == nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// Unix sockets work like TCP sockets.
func TestUnixSockets(t *testing.T) {
	k := newTestKernel(t)
	listener, path := unixListener(t)
	if _, err := k.Accept(listener); err != ErrAgain { //nolint:errorlint // ErrAgain is never wrapped
		t.Errorf("Accept without a pending connection: %v", err)
	}
	near, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := k.Accept(listener)
	if err != nil {
		t.Fatal(err)
	}
	if a := k.Local(far); a == nil || a.Network() != "unix" || a.String() != path {
		t.Errorf("the local address is %v", a)
	}
	own, err := takeFD(near)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := k.Write(own, []byte("x")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	b := make([]byte, 2)
	if n, err := k.Read(far, b); n != 1 || err != nil || b[0] != 'x' {
		t.Errorf("%d, %q, %v", n, b, err)
	}
	if _, err := k.Read(far, b); err != ErrAgain { //nolint:errorlint // ErrAgain is never wrapped
		t.Errorf("after all data was read: %v", err)
	}
	if n, err := k.Read(far, nil); n != 0 || err == io.EOF { //nolint:errorlint // io.EOF is never wrapped
		t.Errorf("a read without room: %d, %v", n, err)
	}
	for _, fd := range []int{own, far, listener} {
		k.Close(fd)
	}
	if _, err := k.Read(-1, b); err == nil || errors.Is(err, ErrAgain) {
		t.Errorf("an invalid descriptor: %v", err)
	}
	if _, err := k.Accept(-1); err == nil || errors.Is(err, ErrAgain) || errors.Is(err, ErrNoDescriptors) {
		t.Errorf("an invalid listener: %v", err)
	}
}

func TestAddressesOfADescriptor(t *testing.T) {
	k := newTestKernel(t)
	near, fd := tcpPair(t)
	defer near.Close()
	if p, l := k.Peer(fd), k.Local(fd); p == nil || p.String() != near.LocalAddr().String() || l == nil || l.String() != near.RemoteAddr().String() {
		t.Errorf("peer %v, local %v; want %v and %v", p, l, near.LocalAddr(), near.RemoteAddr())
	}
	k.Close(fd)
	if p := k.Peer(-1); p != nil {
		t.Errorf("an invalid descriptor: %v", p)
	}
}

// A link-local address contains the name of the interface, if the interface exists.
func TestAddressesOfKinds(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil || len(links) == 0 {
		t.Fatalf("no network interface: %v", err)
	}
	local := [16]byte{0: 0xfe, 1: 0x80, 15: 1}
	for want, sa := range map[string]syscall.Sockaddr{
		"192.0.2.1:80":                       &syscall.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}, Port: 80},
		"[fe80::1]:81":                       &syscall.SockaddrInet6{Addr: local, Port: 81},
		"[fe80::1%" + links[0].Name + "]:82": &syscall.SockaddrInet6{Addr: local, Port: 82, ZoneId: uint32(links[0].Index)},
		"[fe80::1]:83":                       &syscall.SockaddrInet6{Addr: local, Port: 83, ZoneId: 1 << 30},
		"@name":                              &syscall.SockaddrUnix{Name: "@name"},
	} {
		if got := addrOf(sa, nil); got == nil || got.String() != want {
			t.Errorf("%+v: %v, want %s", sa, got, want)
		}
	}
	if got := addrOf(&syscall.SockaddrNetlink{}, nil); got != nil {
		t.Errorf("an address of another family: %v", got)
	}
}

func TestReleaseClosesDescriptors(t *testing.T) {
	made, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	k := made.(*epoll)
	held := map[string]string{}
	for _, fd := range []int{k.fd, k.eventfd} {
		path := "/proc/self/fd/" + strconv.Itoa(fd)
		if held[path], err = os.Readlink(path); err != nil {
			t.Fatal(err)
		}
	}
	k.Release()
	for _, timeout := range []time.Duration{-1, time.Second} {
		if n, err := k.Wait(make([]Event, 1), timeout); n != 0 || err == nil {
			t.Errorf("waiting for %v after that: %d, %v", timeout, n, err)
		}
	}
	for path, what := range held {
		if got, err := os.Readlink(path); err == nil && got == what {
			t.Errorf("%s still is %s", path, what)
		}
	}
}

// Detach returns a connection with a separate descriptor, and closes the loop's descriptor.
func TestDetachClosesTheDescriptor(t *testing.T) {
	ls := Manual(newTestKernel(t))
	near, fd := tcpPair(t)
	defer near.Close()
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	before, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	f := new(FD)
	Place{ls.loops[0], fd}.Add(f, new(nopHandler))
	f.Lock()
	err = f.Arm(Readable)
	nc, err2 := f.Detach()
	f.Unlock()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := near.Write([]byte("xy")); err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil { // the separate descriptor of nc is still open
		t.Fatal(err)
	}
	if n, err := ls.loops[0].k.Wait(make([]Event, 4), 0); n != 0 || err != nil {
		t.Errorf("%d events for a detached descriptor, %v", n, err)
	}
	if after, err := os.Readlink(path); err == nil && after == before {
		t.Errorf("%s still is %s", path, after)
	}
	if nc.RemoteAddr().String() != near.LocalAddr().String() {
		t.Errorf("a connection to %v, want %v", nc.RemoteAddr(), near.LocalAddr())
	}
}

func TestEventsOfEpoll(t *testing.T) {
	for bits, want := range map[uint32]Events{
		0: 0, syscall.EPOLLIN: Readable, syscall.EPOLLOUT: Writable, syscall.EPOLLHUP: Hangup, syscall.EPOLLERR: Hangup, syscall.EPOLLPRI: 0,
		syscall.EPOLLIN | syscall.EPOLLHUP: Readable | Hangup, syscall.EPOLLIN | syscall.EPOLLOUT: Readable | Writable,
	} {
		if got := toEvents(bits); got != want {
			t.Errorf("%#x: %b, want %b", bits, got, want)
		}
	}
}

// If Go's poller or epoll does not accept a descriptor, no kernel is created and the descriptor is closed. Otherwise every wait of
// the loop would fail.
func TestInvalidKernelDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		open func() int
		want error
	}{
		"a file that cannot be polled": {func() int {
			fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}, os.ErrNoDeadline},
		"a closed descriptor": {func() int { return 1 << 20 }, os.ErrNoDeadline},
		"a socket, which is not epoll's": {func() int {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}, syscall.EINVAL},
	} {
		before := freeFD(t)
		k, err := newEpoll(tt.open())
		if k != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if now := freeFD(t); now != before {
			t.Errorf("%s: the next descriptor is %d, and was %d", name, now, before)
		}
	}
}

// freeFD returns the lowest unused descriptor.
func freeFD(t *testing.T) int {
	t.Helper()
	fd, err := syscall.Dup(1)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(fd)
	return fd
}

// TestPollDoesNotSleep checks that polling does not block the thread, which would yield the processor.
func TestPollDoesNotSleep(t *testing.T) {
	k := newTestKernel(t)
	events := make([]Event, 1)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	switches := func() int64 {
		var u syscall.Rusage
		const thread = 1 // RUSAGE_THREAD
		if err := syscall.Getrusage(thread, &u); err != nil {
			t.Fatal(err)
		}
		return int64(u.Nvcsw) //nolint:unconvert // Nvcsw is an int32 on 386
	}
	const polls = 200
	before := switches()
	for range polls {
		if n, err := k.Wait(events, 0); n != 0 || err != nil {
			t.Fatalf("%d events, %v", n, err)
		}
	}
	if n := switches() - before; n > polls/2 { // a few are caused by the runtime
		t.Errorf("the thread slept %d times in %d polls", n, polls)
	}
}
