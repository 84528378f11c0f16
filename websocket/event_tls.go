package websocket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/loop"
)

// recordRead is how much a read below TLS takes at once: two of its largest records.
const recordRead = 32 << 10

// eventTLS is what crypto/tls runs on when the event loop drives the connection: a net.Conn whose Read fails for the moment
// when there is nothing, and goes on at the next call; what is written to it is queued. During the handshake of TLS, which
// keeps a processor busy and so has a goroutine of its own, crypto/tls runs on the socket.
type eventTLS struct {
	conn          *tls.Conn
	fd            *loop.FD
	local, remote net.Addr

	// The holder's.
	buf  *buffer // what one read brought and TLS has not taken
	dry  bool    // the kernel has no more
	more bool    // TLS may have more, of which the kernel knows nothing

	mu     sync.Mutex // after the descriptor's lock, and crypto/tls's own
	cipher *buffer    // records to be sent
}

// errNotNow tells crypto/tls to come back: it keeps its place after an error that is temporary.
type errNotNow struct{}

func (errNotNow) Error() string   { return "websocket: nothing to read at the moment" }
func (errNotNow) Timeout() bool   { return true }
func (errNotNow) Temporary() bool { return true }

// Read implements net.Conn for crypto/tls.
func (s *eventTLS) Read(p []byte) (int, error) {
	if s.buf.size() == 0 {
		if s.dry {
			return 0, errNotNow{}
		}
		if s.buf == nil {
			s.buf = borrow(recordRead)
		}
		s.buf.b, s.buf.r = s.buf.b[:0], 0
		n, err := s.fd.Read(s.buf.b[:cap(s.buf.b)])
		s.dry = n < cap(s.buf.b)
		if err == loop.ErrAgain {
			return 0, errNotNow{}
		}
		if err != nil {
			return 0, err
		}
		s.buf.b = s.buf.b[:n]
	}
	n := copy(p, s.buf.rest())
	s.buf.advance(n)
	return n, nil
}

// Write implements net.Conn for crypto/tls.
func (s *eventTLS) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cipher == nil {
		s.cipher = borrow(len(p))
	}
	s.cipher = s.cipher.grown(len(p))
	s.cipher.b = append(s.cipher.b, p...)
	return len(p), nil
}

// Close implements net.Conn. The descriptor is the connection's to close.
func (s *eventTLS) Close() error { return nil }

// LocalAddr implements net.Conn.
func (s *eventTLS) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *eventTLS) RemoteAddr() net.Addr { return s.remote }

// SetDeadline implements net.Conn. The loop keeps the deadlines, and nothing here waits.
func (s *eventTLS) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *eventTLS) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *eventTLS) SetWriteDeadline(time.Time) error { return nil }

// read reads what was said under TLS, as many records as fit.
func (s *eventTLS) read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = s.conn.Read(p[n:])
		n += k
	}
	if err == nil {
		return n, nil
	}
	if _, notNow := errors.AsType[errNotNow](err); notNow {
		s.more = false
		if s.buf.size() == 0 {
			s.buf.free()
			s.buf = nil
		}
		err = loop.ErrAgain
	} else if err == io.EOF && n > 0 {
		err = nil // it comes again
	}
	return n, err
}

// queued returns how many bytes of records wait to be sent.
func (s *eventTLS) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cipher.size()
}

// take returns the records that wait, and leaves none.
func (s *eventTLS) take() *buffer {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.cipher
	s.cipher = nil
	return f
}

// flush writes what waits, records first. The caller holds the lock of c.
func (s *eventTLS) flush(c *eventOutbox) {
	for {
		if f := s.take(); f.size() > 0 {
			if !c.push(f) {
				s.keep(f)
				return
			}
			f.free()
		}
		if c.out.size() == 0 {
			return
		}
		p := c.out.rest()
		p = p[:min(len(p), corkSize)]
		if _, err := s.conn.Write(p); err != nil {
			c.writeFailed(err)
			return
		}
		c.advance(len(p))
	}
}

// keep puts the rest of f in front of the records that were added since take.
func (s *eventTLS) keep(f *buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cipher != nil {
		f = f.grown(s.cipher.size())
		f.b = append(f.b, s.cipher.rest()...)
		s.cipher.free()
	}
	s.cipher = f
}

// drop gives up what waits.
func (s *eventTLS) drop() { s.take().free() }

// closeWrite says goodbye in the way of TLS, if the kernel takes it at once. The caller holds the lock of c.
func (s *eventTLS) closeWrite(c *eventOutbox) {
	if s.conn.CloseWrite() == nil {
		s.flush(c)
	}
}
