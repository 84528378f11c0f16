//go:build unix

package transport

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// poller reads from a socket that Go's runtime polls: it waits for readiness first and borrows a buffer only then.
type poller struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // try, bound once: a method value made for each read would be an allocation
	buf     *Buffer               // what the last attempt has read, nil when that is nothing
	n       int                   // how much of buf that is
	err     error

	put     func(fd uintptr) bool // putOnce, bound at its first use
	out     []byte                // what it writes
	moved   *atomic.Bool          // set whenever the socket has taken some; nil: write once, and do not wait for room
	written int
	outErr  error
}

// newPoller returns nil when rwc is not a socket of ours to poll. Only the types whose Read is the bare system call are:
// something that embeds one may have a Read of its own.
func newPoller(rwc io.ReadWriteCloser) *poller {
	var sc syscall.Conn
	if a, ok := rwc.(*Accepted); ok {
		rwc = a.Conn
	}
	switch c := rwc.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	p := &poller{raw: raw}
	p.attempt = p.try
	return p
}

func (p *poller) read() (*Buffer, []byte, error) {
	err := p.raw.Read(p.attempt)
	buf, n := p.buf, p.n
	p.buf = nil
	if err == nil {
		err = p.err
	}
	if buf == nil {
		return nil, nil, err
	}
	return buf, buf[:n], err
}

// try reads once. It returns false to wait until there is something to read.
func (p *poller) try(fd uintptr) bool {
	buf := Borrow()
	for {
		n, err := syscall.Read(int(fd), buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			Return(buf)
			return false
		case n > 0:
			p.buf, p.n, p.err = buf, n, nil
		default:
			Return(buf)
			if err == nil {
				err = io.EOF
			} else {
				err = os.NewSyscallError("read", err)
			}
			p.buf, p.err = nil, err
		}
		return true
	}
}

// write writes all of b, and sets moved whenever the socket has taken some of it; or, when moved is nil, once and without
// waiting for room. It is what net.Conn's Write does, from smaller frames.
func (p *poller) write(b []byte, moved *atomic.Bool) (int, error) {
	if p.put == nil {
		p.put = p.putOnce
	}
	p.out, p.moved = b, moved
	err := p.raw.Write(p.put)
	n := p.written
	if err == nil {
		err = p.outErr
	}
	p.out, p.moved, p.written, p.outErr = nil, nil, 0, nil
	return n, err
}

// most is how much one write may be: some systems refuse 2 GiB and more.
const most = 1 << 30

func (p *poller) putOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), p.out[:min(len(p.out), most)])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return p.moved == nil
		case err != nil:
			p.outErr = os.NewSyscallError("write", err)
			return true
		}
		p.written += n
		p.out = p.out[n:]
		if p.moved == nil {
			return true
		}
		if !p.moved.Load() {
			p.moved.Store(true)
		}
		if len(p.out) == 0 {
			return true
		}
	}
}
