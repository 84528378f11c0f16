//go:build unix

package transport

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// poller reads from a socket that Go's runtime polls. It waits until bytes are available, and borrows a buffer only then.
type poller struct {
	raw         syscall.RawConn
	tryReadFunc func(fd uintptr) bool // tryRead as a func value: a method value created for each read would allocate
	buf         *Buffer               // the bytes of the last attempt, or nil if there were none
	n           int                   // number of bytes in buf
	err         error

	tryWriteFunc func(fd uintptr) bool // tryWrite as a func value, created at its first use
	out          []byte                // the bytes to write
	progress     *atomic.Bool          // set whenever the socket accepts bytes; nil means to write once without waiting for room
	written      int
	outErr       error
}

// newPoller returns nil if rwc is not a socket that can be polled. It only accepts types whose Read is the bare system call: a type
// that embeds one of them may override Read.
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
	p.tryReadFunc = p.tryRead
	return p
}

func (p *poller) read() (*Buffer, []byte, error) {
	err := p.raw.Read(p.tryReadFunc)
	buf, n := p.buf, p.n
	p.buf = nil
	if err == nil {
		err = p.err
	}
	if buf == nil {
		return nil, nil, p.wrapError(err)
	}
	return buf, buf[:n], err
}

// wrapError adds the name of the system call to the error of a read. The method tryRead does not do that itself: an allocation
// there would need more than 2 KiB of stack, so the stack of every connection would grow when the connection ends.
// wrapError is not inlined, so that read has a small frame.
//
//go:noinline
func (p *poller) wrapError(err error) error {
	if err != p.err || err == io.EOF {
		return err
	}
	return os.NewSyscallError("read", err)
}

// tryRead reads once. It returns false to make the runtime wait until data is available.
func (p *poller) tryRead(fd uintptr) bool {
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
			}
			p.buf, p.err = nil, err
		}
		return true
	}
}

// write writes all of b, and sets progress whenever the socket has accepted some of it. If progress is nil, it writes once and does not wait for
// room. It does the same as the Write of net.Conn, but needs less stack.
func (p *poller) write(b []byte, progress *atomic.Bool) (int, error) {
	if p.tryWriteFunc == nil {
		p.tryWriteFunc = p.tryWrite
	}
	p.out, p.progress = b, progress
	err := p.raw.Write(p.tryWriteFunc)
	n := p.written
	if err == nil {
		err = p.outErr
	}
	p.out, p.progress, p.written, p.outErr = nil, nil, 0, nil
	return n, err
}

// maxWrite is the maximum size of one write, because some systems reject 2 GiB and more.
const maxWrite = 1 << 30

func (p *poller) tryWrite(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), p.out[:min(len(p.out), maxWrite)])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return p.progress == nil
		case err != nil:
			p.outErr = os.NewSyscallError("write", err)
			return true
		}
		p.written += n
		p.out = p.out[n:]
		if p.progress == nil {
			return true
		}
		if !p.progress.Load() {
			p.progress.Store(true)
		}
		if len(p.out) == 0 {
			return true
		}
	}
}
