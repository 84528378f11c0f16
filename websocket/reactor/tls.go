package reactor

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// recordRead is how much a read below TLS takes at once: two of its largest records.
const recordRead = 32 << 10

// secure is TLS on a descriptor that is read when something is there. crypto/tls sees it as a net.Conn whose Read fails
// for the moment when there is nothing, and goes on at the next call; what it writes is queued.
//
// During the handshake of TLS, which keeps a processor busy and so has a goroutine of its own, it is the net.Conn that
// was accepted.
type secure struct {
	conn          *tls.Conn
	nc            net.Conn // during the handshake; nil afterwards
	c             *Conn    // afterwards
	local, remote net.Addr // of nc

	// The holder's.
	buf  *buffer // what one read brought and TLS has not taken
	dry  bool    // the kernel has no more
	more bool    // TLS may have more, of which the kernel knows nothing

	mu     sync.Mutex // after the Conn's mu, and crypto/tls's own
	cipher *buffer    // records to be sent
}

// errNotNow tells crypto/tls to come back: it keeps its place after an error that is temporary.
type errNotNow struct{}

func (errNotNow) Error() string   { return "reactor: nothing to read at the moment" }
func (errNotNow) Timeout() bool   { return true }
func (errNotNow) Temporary() bool { return true }

// Read implements net.Conn for crypto/tls.
func (s *secure) Read(p []byte) (int, error) {
	if s.nc != nil {
		return s.nc.Read(p)
	}
	if s.buf.size() == 0 {
		if s.dry {
			return 0, errNotNow{}
		}
		if s.buf == nil {
			s.buf = borrow(recordRead)
		}
		s.buf.b, s.buf.r = s.buf.b[:0], 0
		n, err := s.c.loop.k.read(int(s.c.fd), s.buf.b[:cap(s.buf.b)])
		s.dry = n < cap(s.buf.b)
		if err == errAgain {
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
func (s *secure) Write(p []byte) (int, error) {
	if s.nc != nil {
		return s.nc.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cipher == nil {
		s.cipher = borrow(len(p))
	}
	s.cipher = s.cipher.grown(len(p))
	s.cipher.b = append(s.cipher.b, p...)
	return len(p), nil
}

// Close implements net.Conn. The descriptor is the Conn's to close.
func (s *secure) Close() error {
	if s.nc != nil {
		return s.nc.Close()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (s *secure) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *secure) RemoteAddr() net.Addr { return s.remote }

// SetDeadline implements net.Conn. After the handshake the loop keeps the deadlines, and nothing here waits.
func (s *secure) SetDeadline(t time.Time) error {
	if s.nc != nil {
		return s.nc.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *secure) SetReadDeadline(t time.Time) error {
	if s.nc != nil {
		return s.nc.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *secure) SetWriteDeadline(t time.Time) error {
	if s.nc != nil {
		return s.nc.SetWriteDeadline(t)
	}
	return nil
}

// read reads what was said under TLS, as many records as fit.
func (s *secure) read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = s.conn.Read(p[n:])
		n += k
	}
	if err == nil {
		return n, nil
	}
	var notNow errNotNow
	if errors.As(err, &notNow) {
		s.more = false
		if s.buf.size() == 0 {
			s.buf.free()
			s.buf = nil
		}
		err = errAgain
	} else if err == io.EOF && n > 0 {
		err = nil // it comes again
	}
	return n, err
}

// queued returns how many bytes of records wait to be sent.
func (s *secure) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cipher.size()
}

// take returns the records that wait, and leaves none.
func (s *secure) take() *buffer {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.cipher
	s.cipher = nil
	return f
}

// flush writes what waits, records first. The caller holds c.mu.
func (s *secure) flush(c *Conn) {
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
func (s *secure) keep(f *buffer) {
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
func (s *secure) drop() { s.take().free() }

// closeWrite says goodbye in the way of TLS, if the kernel takes it at once. The caller holds c.mu.
func (s *secure) closeWrite(c *Conn) {
	if s.conn.CloseWrite() == nil {
		s.flush(c)
	}
}

// handshake makes a TLS connection of nc, within the server's HeadTimeout, and returns a Conn for the loop, without
// a place in it yet.
func (s *Server) handshake(nc net.Conn, config *tls.Config) (*Conn, error) {
	if err := nc.SetDeadline(time.Now().Add(s.handshakeTimeout)); err != nil {
		return nil, err
	}
	sec := &secure{nc: nc, local: nc.LocalAddr(), remote: nc.RemoteAddr()}
	sec.conn = tls.Server(sec, config)
	if err := shakeHands(sec.conn); err != nil {
		return nil, err
	}
	fd, err := takeFD(nc)
	if err != nil {
		return nil, err
	}
	nc.Close()
	c := &Conn{fd: int32(fd), sec: sec}
	sec.nc, sec.c, sec.more = nil, c, true
	return c, nil
}

// shakeHands does the handshake of TLS. A panic in a callback of the configuration costs this connection.
func shakeHands(conn *tls.Conn) (err error) {
	defer recovered(&err)
	return conn.Handshake()
}
