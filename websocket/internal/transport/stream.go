// Package transport provides one kind of stream on top of everything that can carry a connection: a TCP or Unix socket, TLS, a
// pipe, or any io.ReadWriteCloser. If the system supports it, waiting for bytes requires no buffer.
package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// BufferSize is the length of a Buffer. It has room for several frames in one read: for example sixteen frames of 1 KiB, or a message of 16
// KiB and some frames that follow it.
const BufferSize = 32 << 10

// Buffer is borrowed from a pool that all connections share.
type Buffer [BufferSize]byte

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// Borrow takes a Buffer from the pool.
func Borrow() *Buffer { return buffers.Get().(*Buffer) }

// Return returns b to the pool. The caller must not retain a slice of it.
func Return(b *Buffer) { buffers.Put(b) }

// deadliner contains the methods of a stream that cancellation requires. Every net.Conn has them.
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Stream is a byte stream with deadlines. It must be initialized with Init, and must not be copied afterwards. One goroutine may read and
// one may write at the same time. The other methods may be called concurrently.
type Stream struct {
	rwc       io.ReadWriteCloser
	deadlines deadliner
	poller    *poller   // waits for bytes without a buffer; nil if that is not possible
	waitBuf   *[64]byte // the buffer used for waiting if poller is nil
	sent      atomic.Int64
}

// vector contains the data that WriteVec needs during a call.
type vector struct {
	pieces [2][]byte
	bufs   net.Buffers
	plain  writerOnly
}

// writerOnly hides all methods of a stream except Write: a type that embeds a socket of package net also has the method for writev that
// package net looks for, so its own Write would be bypassed.
type writerOnly struct{ io.Writer }

var vectors = sync.Pool{New: func() any { return new(vector) }}

// Init makes s a Stream on rwc. If rwc does not support deadlines, they are implemented with a pipe and two goroutines, which
// return when rwc is closed: its Close must unblock its Read and Write.
func (s *Stream) Init(rwc io.ReadWriteCloser) {
	var ok bool
	if s.deadlines, ok = rwc.(deadliner); !ok {
		b := newBridge(rwc)
		rwc, s.deadlines = b, b
	}
	s.rwc = rwc
	if s.poller = newPoller(rwc); s.poller == nil {
		s.waitBuf = new([64]byte)
	}
}

// Below returns the underlying stream of s.
func (s *Stream) Below() io.ReadWriteCloser { return s.rwc }

// ReadSome waits for bytes and returns them in a borrowed Buffer, or, with a nil Buffer, in the Stream's own memory until the next call.
// While it waits it holds no Buffer, unless hold is set and the system cannot report the arrival of bytes. If both are true, ReadSome waits
// with a Buffer, so that it receives more bytes in one read.
func (s *Stream) ReadSome(hold bool) (*Buffer, []byte, error) {
	if s.poller != nil {
		return s.poller.read()
	}
	if !hold {
		n, err := s.rwc.Read(s.waitBuf[:])
		return nil, s.waitBuf[:n], err
	}
	b := Borrow()
	n, err := s.rwc.Read(b[:])
	if n == 0 {
		Return(b)
		return nil, nil, err
	}
	return b, b[:n], err
}

// Read reads into p.
func (s *Stream) Read(p []byte) (int, error) { return s.rwc.Read(p) }

// Write writes p, and sets progress whenever the peer has accepted some of it: on a socket after each partial write, and on other
// streams after each chunk.
func (s *Stream) Write(p []byte, progress *atomic.Bool) (int, error) {
	if s.poller != nil {
		n, err := s.poller.write(p, progress)
		s.sent.Add(int64(n))
		return n, err
	}
	sent := 0
	for {
		n, err := s.rwc.Write(p[sent:min(len(p), sent+chunkSize)])
		sent += n
		s.sent.Add(int64(n))
		if n > 0 {
			progress.Store(true)
		}
		if err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// chunkSize is the size of one write if the system does not report partial writes.
const chunkSize = 256 << 10

// CanTryWrite reports whether TryWrite is available.
func (s *Stream) CanTryWrite() bool { return s.poller != nil }

// TryWrite writes as much as the socket accepts without waiting. If it accepts nothing, TryWrite returns 0 and no error.
func (s *Stream) TryWrite(p []byte) (int, error) {
	n, err := s.poller.write(p, nil)
	s.sent.Add(int64(n))
	return n, err
}

// Sent returns how many bytes have been written.
func (s *Stream) Sent() int64 { return s.sent.Load() }

// WriteVec writes head and then body, with one system call if writev is available.
func (s *Stream) WriteVec(head, body []byte) (int, error) {
	w := io.Writer(s.rwc)
	if a, ok := w.(*Accepted); ok {
		w = a.Conn
	}
	v := vectors.Get().(*vector)
	switch w.(type) {
	case *net.TCPConn, *net.UnixConn: // these support writev
	default:
		v.plain.Writer = w
		w = &v.plain
	}
	v.pieces = [2][]byte{head, body}
	v.bufs = v.pieces[:]
	n, err := v.bufs.WriteTo(w)
	*v = vector{}
	vectors.Put(v)
	s.sent.Add(n)
	return int(n), err
}

// SetReadDeadline sets the time after which reads fail with os.ErrDeadlineExceeded. Such a failure loses no bytes.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.deadlines.SetReadDeadline(t) }

// SetWriteDeadline sets the time after which writes fail with os.ErrDeadlineExceeded.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.deadlines.SetWriteDeadline(t) }

// CloseWrite closes the sending direction. The error may be errors.ErrUnsupported, because not every stream supports that.
func (s *Stream) CloseWrite() error {
	if half, ok := s.rwc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the stream in an orderly way.
func (s *Stream) Close() error { return s.rwc.Close() }

// Abort closes the stream immediately, without a TLS close_notify.
func (s *Stream) Abort() error {
	if b, ok := s.rwc.(*bridge); ok {
		return b.abort()
	}
	if t, ok := s.rwc.(*tls.Conn); ok {
		return t.NetConn().Close()
	}
	return s.rwc.Close()
}

// IsTimeout reports whether err means that a deadline has passed.
func IsTimeout(err error) bool {
	switch e := err.(type) { //nolint:errorlint // errors of sockets are not wrapped, and errors.As is slower
	case *os.SyscallError: // returned by a poller, because system calls have no deadlines
		return false
	case *net.OpError: // ETIMEDOUT, which reports a dead peer, is also a timeout according to package net
		return errors.Is(e.Err, os.ErrDeadlineExceeded)
	}
	if err == io.EOF { //nolint:errorlint // sockets return io.EOF unwrapped
		return false
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
