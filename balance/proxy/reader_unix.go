//go:build unix

package proxy

import (
	"io"
	"net"
	"os"
	"syscall"
)

// readiness reads from a socket that Go's runtime polls: it waits until bytes are available, and borrows a buffer only then.
type readiness struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // try as a func value: a method value created for each read would allocate
	buf     *[bufferSize]byte     // the bytes of the last attempt, or nil if there were none
	n       int
	err     error
}

// newReadiness returns nil if nc is not a socket. It checks for the types whose Read is the bare system call: a type that embeds
// one of them may have a Read of its own.
func newReadiness(nc net.Conn) *readiness {
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	r := &readiness{raw: raw}
	r.attempt = r.try
	return r
}

// read returns a borrowed buffer, and the number of bytes in it.
func (r *readiness) read() (*[bufferSize]byte, int, error) {
	r.buf, r.n, r.err = nil, 0, nil
	if err := r.raw.Read(r.attempt); err != nil {
		return nil, 0, err
	}
	return r.buf, r.n, r.err
}

// try reads once. It returns false to wait until there is something to read.
func (r *readiness) try(fd uintptr) bool {
	b := buffers.Get().(*[bufferSize]byte)
	n, err := syscall.Read(int(fd), b[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), b[:])
	}
	if n > 0 {
		r.buf, r.n = b, n
		return true
	}
	buffers.Put(b)
	switch err {
	case syscall.EAGAIN:
		return false
	case nil:
		r.err = io.EOF
	default:
		r.err = os.NewSyscallError("read", err)
	}
	return true
}
