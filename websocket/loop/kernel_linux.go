package loop

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/handfast/handfast/websocket/internal/accepting"
)

// tokenWake is the token of a wake.
const tokenWake = ^uint64(0)

// epoll is the kernel of Linux, level-triggered: a descriptor that is not read to its end is reported again.
//
// Calls that cannot block are made without notifying Go's scheduler, because they are too short for the scheduler to act. To wait, the
// driver parks in Go's own poller, which polls the epoll descriptor. A thread that blocked in epoll_wait instead would keep its P, and the
// runtime's monitor would wake every 20 µs until it took the P away: at low message rates this would cost more than the messages.
type epoll struct {
	fd      int
	file    *os.File // owns fd
	conn    syscall.RawConn
	eventfd int
	raw     []syscall.EpollEvent
	start   time.Time

	// The following fields belong to Wait.
	pollFunc func(uintptr) bool // poll, as a func value for conn
	n        int                // the result of the last poll
	errno    syscall.Errno
	deadline time.Duration // file's read deadline; 0 means none
}

// NewKernel returns the kernel of the system.
func NewKernel() (Kernel, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	k, err := newEpoll(fd)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// newEpoll makes a kernel from an epoll descriptor, which it closes on failure.
func newEpoll(fd int) (*epoll, error) {
	file, err := newPollFile(fd)
	if err != nil {
		return nil, err
	}
	efd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		file.Close() //nolint:errcheck // nothing was written to the descriptor, so closing it loses no data
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	k := &epoll{fd: fd, file: file, eventfd: int(efd), start: time.Now()}
	k.pollFunc = func(uintptr) bool { return k.poll() }
	if k.conn, err = file.SyscallConn(); err == nil {
		err = k.Arm(k.eventfd, tokenWake, Readable, true)
	}
	if err != nil {
		k.Release()
		return nil, err
	}
	return k, nil
}

// newPollFile registers fd with Go's poller. If that fails, for example at the system's limit on watches, it returns an error, because every
// wait would fail.
func newPollFile(fd int) (*os.File, error) {
	syscall.SetNonblock(fd, true) //nolint:errcheck // if this fails, os.NewFile does not register fd with the poller, and SetReadDeadline fails
	file := os.NewFile(uintptr(fd), "epoll")
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		file.Close() //nolint:errcheck // nothing was written to the descriptor, so closing it loses no data
		return nil, err
	}
	return file, nil
}

func (k *epoll) Release() {
	syscall.Close(k.eventfd) //nolint:errcheck // closing an eventfd loses no data
	k.file.Close()           //nolint:errcheck // closing an epoll instance loses no data
}

func (k *epoll) Now() time.Duration { return time.Since(k.start) }

func (k *epoll) Wait(events []Event, timeout time.Duration) (int, error) {
	if len(k.raw) != len(events) {
		k.raw = make([]syscall.EpollEvent, len(events))
	}
	if timeout == 0 {
		k.poll()
	} else if err := k.park(timeout); err != nil {
		return 0, err
	}
	if k.errno != 0 && k.errno != syscall.EINTR {
		return 0, os.NewSyscallError("epoll_pwait", k.errno)
	}
	found := 0
	for i := range k.raw[:max(k.n, 0)] {
		token := uint64(uint32(k.raw[i].Fd)) | uint64(uint32(k.raw[i].Pad))<<32
		if token == tokenWake {
			var b [8]byte
			rawRead(k.eventfd, b[:]) //nolint:errcheck // the only possible error is EAGAIN, after an earlier read of the wake
			continue
		}
		events[found] = Event{token, toEvents(k.raw[i].Events)}
		found++
	}
	return found, nil
}

// poll collects the events that are ready, and reports whether there are any.
func (k *epoll) poll() bool {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(k.fd), uintptr(unsafe.Pointer(&k.raw[0])), uintptr(len(k.raw)), 0, 0, 0)
	k.n, k.errno = int(n), errno // -1 if there is an error
	return k.n != 0
}

// park polls until something is ready, for at most timeout. It keeps a previous deadline that is earlier than necessary: Wait may return
// early, and most deadlines are postponed before they pass.
func (k *epoll) park(timeout time.Duration) error {
	deadline, set := nextDeadline(k.deadline, k.Now(), timeout)
	if set {
		k.deadline = deadline
		var at time.Time
		if deadline != 0 {
			at = k.start.Add(deadline)
		}
		if err := k.file.SetReadDeadline(at); err != nil {
			return err
		}
	}
	k.n, k.errno = 0, 0
	if err := k.conn.Read(k.pollFunc); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// nextDeadline returns the deadline of a wait that begins at now, after the deadline previous, and whether it must be set. 0 means
// none.
func nextDeadline(previous, now, timeout time.Duration) (time.Duration, bool) {
	switch {
	case previous == 0 || previous > now: // there is no deadline, or it has not passed
		if timeout < 0 || previous != 0 && previous <= now+timeout {
			return previous, false
		}
	case timeout < 0:
		return 0, true
	}
	return now + timeout, true
}

// toEvents converts the events that epoll reports to Events.
func toEvents(bits uint32) (r Events) {
	if bits&syscall.EPOLLIN != 0 {
		r |= Readable
	}
	if bits&syscall.EPOLLOUT != 0 {
		r |= Writable
	}
	if bits&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		r |= Hangup
	}
	return r
}

func (k *epoll) Wake() {
	one := [8]byte{1}           // any number other than 0, in host byte order
	rawWrite(k.eventfd, one[:]) //nolint:errcheck // the only possible error is EAGAIN, if 2^64 wakes are pending
}

func (k *epoll) Arm(fd int, token uint64, want Events, first bool) error {
	ev := syscall.EpollEvent{Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}
	if want&Readable != 0 {
		ev.Events |= syscall.EPOLLIN
	}
	if want&Writable != 0 {
		ev.Events |= syscall.EPOLLOUT
	}
	if want&Once != 0 {
		ev.Events |= syscall.EPOLLONESHOT
	}
	op := uintptr(syscall.EPOLL_CTL_MOD)
	if first {
		op = syscall.EPOLL_CTL_ADD
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(k.fd), op, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

func (k *epoll) Disarm(fd int) {
	var ev syscall.EpollEvent                                                                                                         // kernels before 2.6.9 require an event
	syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(k.fd), syscall.EPOLL_CTL_DEL, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0) //nolint:errcheck // EPOLL_CTL_DEL fails only if fd is not armed
}

func (k *epoll) Unsent(fd int) int {
	var n int32
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return -1
	}
	return int(n)
}

func (k *epoll) Accept(listener int) (int, error) {
	for {
		r, _, errno := syscall.RawSyscall6(sysAccept4, uintptr(listener), 0, 0, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(r), nil
		case syscall.EAGAIN:
			return 0, ErrAgain
		}
		switch accepting.After(errno) {
		case accepting.Pause:
			return 0, ErrNoDescriptors
		case accepting.Stop:
			return 0, os.NewSyscallError("accept4", errno)
		case accepting.Next:
		}
	}
}

func (k *epoll) Read(fd int, p []byte) (int, error) {
	n, err := rawRead(fd, p)
	if err == nil && n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, syscallError("read", err)
}

func (k *epoll) Write(fd int, p []byte) (int, error) {
	n, err := rawWrite(fd, p)
	return n, syscallError("write", err)
}

func (k *epoll) Writev(fd int, p [2][]byte) (int, error) {
	var iov [2]syscall.Iovec
	n := 0
	for _, b := range p {
		if len(b) > 0 {
			iov[n].Base = &b[0]
			iov[n].SetLen(len(b))
			n++
		}
	}
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), uintptr(n))
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return 0, syscallError("writev", errno)
		}
		return int(r), nil
	}
}

func (k *epoll) CloseWrite(fd int) {
	syscall.RawSyscall(sysShutdown, uintptr(fd), syscall.SHUT_WR, 0) //nolint:errcheck // shutdown fails only if the connection is already closed
}

func (k *epoll) Close(fd int) {
	syscall.Close(fd) //nolint:errcheck // no error can be handled; not a raw call, because the scheduler has to know of a close that lingers
}

func (k *epoll) Peer(fd int) net.Addr { return addrOf(syscall.Getpeername(fd)) }

func (k *epoll) Local(fd int) net.Addr { return addrOf(syscall.Getsockname(fd)) }

func addrOf(sa syscall.Sockaddr, err error) net.Addr {
	if err != nil {
		return nil
	}
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
	case *syscall.SockaddrInet6:
		addr := &net.TCPAddr{IP: net.IP(a.Addr[:]), Port: a.Port}
		if a.ZoneId != 0 {
			if ifi, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				addr.Zone = ifi.Name
			}
		}
		return addr
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: a.Name, Net: "unix"}
	}
	return nil
}

func rawRead(fd int, p []byte) (int, error) {
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno == 0 {
			return int(r), nil
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

func rawWrite(fd int, p []byte) (int, error) {
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno == 0 {
			return int(r), nil
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// syscallError converts EAGAIN to ErrAgain, and adds the name of the call to any other error.
func syscallError(call string, err error) error {
	switch err {
	case nil:
		return nil
	case syscall.EAGAIN:
		return ErrAgain
	}
	return os.NewSyscallError(call, err)
}

// listenerFD returns a separate descriptor for l's socket. Accepted connections inherit its TCP_NODELAY option.
func listenerFD(l net.Listener) (int, error) {
	fd, err := dup(l)
	if err != nil {
		return 0, err
	}
	if _, ok := l.Addr().(*net.TCPAddr); ok {
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) //nolint:errcheck // TCP_NODELAY is only an optimization
	}
	return fd, nil
}

// takeFD returns a separate descriptor for nc's socket. After that nc can be closed.
func takeFD(nc net.Conn) (int, error) { return dup(nc) }

// dialFD returns a socket that is connecting to addr. Until it is connected, writes return EAGAIN. If the connection fails, writes return
// the error.
func dialFD(addr netip.AddrPort, keep net.KeepAliveConfig) (int, error) {
	to, size := rawAddr(addr)
	r, _, errno := syscall.RawSyscall(sysSocket, uintptr(to.Family), syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return 0, os.NewSyscallError("socket", errno)
	}
	fd := int(r)
	keepAlive(fd, keep)
	setOption(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) // without the option small writes are delayed, but nothing fails
	_, _, errno = syscall.RawSyscall(sysConnect, r, uintptr(unsafe.Pointer(&to)), size)
	if errno != 0 && errno != syscall.EINPROGRESS && errno != syscall.EINTR {
		syscall.Close(fd) //nolint:errcheck // the socket has not been used
		return 0, os.NewSyscallError("connect", errno)
	}
	return fd, nil
}

// rawAddr converts addr for connect(2). An IPv4-mapped IPv6 address is treated as an IPv4 address.
func rawAddr(addr netip.AddrPort) (to syscall.RawSockaddrInet6, size uintptr) {
	port := [2]byte{byte(addr.Port() >> 8), byte(addr.Port())}
	if a := addr.Addr().Unmap(); a.Is4() {
		four := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&to))
		four.Family, four.Port, four.Addr = syscall.AF_INET, *(*uint16)(unsafe.Pointer(&port)), a.As4()
		return to, syscall.SizeofSockaddrInet4
	}
	to.Family, to.Port, to.Addr = syscall.AF_INET6, *(*uint16)(unsafe.Pointer(&port)), addr.Addr().As16()
	return to, syscall.SizeofSockaddrInet6
}

// setOption sets a socket option that is not essential.
func setOption(fd, level, option int, value int32) {
	syscall.RawSyscall6(sysSetsockopt, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&value)), 4, 0) //nolint:errcheck // the connection also works without the option
}

// keepAlive sets the same options as a net.Dialer with that KeepAliveConfig.
func keepAlive(fd int, c net.KeepAliveConfig) {
	for _, o := range [...]struct{ level, option, value int }{
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, seconds(c.Idle, 15*time.Second)},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, seconds(c.Interval, 15*time.Second)},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, cmp.Or(c.Count, 9)},
	} {
		if o.value > 0 {
			setOption(fd, o.level, o.option, int32(o.value)) // without the option the kernel detects a dead peer later
		}
	}
}

// seconds returns d in whole seconds, rounded up, or standard for 0.
func seconds(d, standard time.Duration) int {
	return int((cmp.Or(d, standard) + time.Second - 1) / time.Second)
}

// dup returns another descriptor for x's socket. It is non-blocking and not registered with Go's poller. Only types whose methods
// are the bare system calls are accepted: a type that embeds one of them promotes its SyscallConn, and may override Accept, Read or
// Write.
func dup(x any) (int, error) {
	var sc syscall.Conn
	switch x := x.(type) {
	case *net.TCPListener:
		sc = x
	case *net.UnixListener:
		sc = x
	case *net.TCPConn:
		sc = x
	case *net.UnixConn:
		sc = x
	default:
		return 0, fmt.Errorf("loop: a %T is not a socket that the loop can drive: %w", x, errors.ErrUnsupported)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd uintptr
	var errno syscall.Errno
	if err := raw.Control(func(old uintptr) {
		fd, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, os.NewSyscallError("fcntl", errno)
	}
	return int(fd), nil
}
