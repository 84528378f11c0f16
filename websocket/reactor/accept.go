package reactor

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/handfast/handfast/websocket"
)

// Serve lets clients in that connect to l, until Shutdown or Close; then it returns [ErrServerClosed]. It closes l.
//
// From a *net.TCPListener or *net.UnixListener the loop accepts by itself, and a connection is a bare descriptor from the
// start. Any other listener must yield connections that Adopt takes: Serve ends with an error when it yields another.
func (s *Server) Serve(l net.Listener) error {
	if err := s.serves(l); err != nil {
		return err
	}
	defer s.closes(l)
	fd, err := listenerFD(l)
	if errors.Is(err, errors.ErrUnsupported) {
		return s.acceptFrom(l, func(nc net.Conn) { s.welcome(nc, nil) })
	}
	if err != nil {
		return err
	}
	if err := s.loops[0].listen(fd); err != nil {
		return err
	}
	<-s.done
	return s.why(nil)
}

// ServeTLS is Serve for wss: config is for the server's side, and holds the certificate. The handshake of TLS has a
// goroutine, and ends with HeadTimeout.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error {
	if err := s.serves(l); err != nil {
		return err
	}
	defer s.closes(l)
	g := &greeters{s: s, config: config, work: make(chan net.Conn), idle: make(chan struct{}, maxGreeters), over: make(chan struct{})}
	defer close(g.over)
	return s.acceptFrom(l, g.take)
}

// greeters are goroutines that go through handshakes of TLS, one after the other: they are spared the growth of a new
// stack each time.
type greeters struct {
	s      *Server
	config *tls.Config
	work   chan net.Conn
	idle   chan struct{} // holds one of each that waits
	over   chan struct{} // closed when no more work comes
}

// maxGreeters bounds the goroutines that wait for a handshake. Those of more at once end after theirs.
const maxGreeters = 64

// take has somebody go through the handshake on nc.
func (g *greeters) take(nc net.Conn) {
	select {
	case g.work <- nc:
	default:
		g.s.running.Go(func() { // ends when over is closed, or when enough others wait
			for nc != nil {
				g.s.welcome(nc, g.config)
				nc = g.next()
			}
		})
	}
}

// next waits for another connection, nil when there is nothing to wait for.
func (g *greeters) next() net.Conn {
	select {
	case g.idle <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-g.idle }()
	select {
	case nc := <-g.work:
		return nc
	case <-g.over:
		return nil
	case <-g.s.done:
		return nil
	}
}

// serves starts the loops, and has refuse close l.
func (s *Server) serves(l net.Listener) error {
	err := s.start()
	if err == nil {
		err = s.watch(l)
	}
	if err != nil {
		l.Close()
	}
	return err
}

// watch has refuse close x, until forget.
func (s *Server) watch(x io.Closer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return ErrServerClosed
	}
	s.closers[x] = struct{}{}
	return nil
}

func (s *Server) forget(x io.Closer) {
	s.mu.Lock()
	delete(s.closers, x)
	s.mu.Unlock()
}

func (s *Server) closes(l net.Listener) {
	l.Close()
	s.forget(l)
}

// why returns ErrServerClosed when the server is closed, and else err.
func (s *Server) why(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.down:
		return ErrServerClosed
	}
	return err
}

// acceptFrom accepts in Go's way.
func (s *Server) acceptFrom(l net.Listener, take func(net.Conn)) error {
	for {
		nc, err := l.Accept()
		if err == nil {
			if err := drives(nc); err != nil {
				nc.Close()
				return err
			}
			take(nc)
			continue
		}
		if temporary, ok := errors.AsType[net.Error](err); !ok || !temporary.Timeout() && !outOfDescriptors(err) {
			return s.why(err)
		}
		select {
		case <-time.After(pauseFor):
		case <-s.done:
		}
	}
}

// welcome brings a connection of which nothing has been read yet into a loop, through TLS when there is a config for it.
func (s *Server) welcome(nc net.Conn, config *tls.Config) {
	var c *Conn
	err := s.watch(nc)
	if err == nil {
		c, err = s.take(nc, config)
		s.forget(nc)
	}
	if err == nil {
		err = s.admit(c)
	}
	if err != nil {
		nc.Close()
	}
}

// take makes a Conn of nc, and closes nc when that has worked.
func (s *Server) take(nc net.Conn, config *tls.Config) (*Conn, error) {
	if config != nil {
		return s.handshake(nc, config)
	}
	fd, err := takeFD(nc)
	if err != nil {
		return nil, err
	}
	nc.Close()
	return &Conn{fd: int32(fd)}, nil
}

// admit gives c to the idlest loop.
func (s *Server) admit(c *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.idlest(s.loops[0])
	if s.down {
		l.k.close(int(c.fd))
		return ErrServerClosed
	}
	s.enter(l, c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == untold {
		c.phase = open
		c.keepAlive()
	}
	l.ask(c)
	return nil
}

// Adopt takes over a connection whose opening handshake has been done elsewhere, as the server. early is what the client
// has sent behind its request, and is copied; may be nil. The handler's Open is called for it like for any other.
//
// nc is closed: the loop has a descriptor of its own for its socket. What is no socket has none, TLS among it, and is
// refused with an error for which errors.Is(err, errors.ErrUnsupported) holds; then nc is as it was.
func (s *Server) Adopt(nc net.Conn, early []byte) (*Conn, error) { return s.adopt(nc, early, "") }

func (s *Server) adopt(nc net.Conn, early []byte, subprotocol string) (*Conn, error) {
	if err := s.start(); err != nil {
		return nil, err
	}
	c, err := s.take(nc, nil)
	if err != nil {
		return nil, err
	}
	c.stage = untold
	c.subprotocol = uint16(slices.Index(s.Options.Subprotocols, subprotocol) + 1)
	if len(early) > 0 {
		c.rest = borrow(len(early))
		c.rest.b = append(c.rest.b, early...)
	}
	return c, s.admit(c)
}

// Accept is [websocket.Accept] into a loop, for a server whose requests come by net/http: it answers a client's opening
// handshake, and takes over the connection. The connection must be a bare socket: not TLS, and not compressed. What
// http.Server keeps for a connection is let go, but only ServeTLS and Serve never make it.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	err := s.start()
	if err == nil && r.TLS != nil {
		err = errTLS
	}
	if err != nil {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return nil, err
	}
	options := s.Options
	options.Conn = websocket.ConnOptions{PingInterval: -1}
	t := &taken{ResponseWriter: w}
	conn, err := websocket.Accept(t, r, &options)
	if err != nil {
		return nil, err
	}
	defer conn.CloseNow() // it has done its part: taken keeps the socket from it
	c, err := s.adopt(t.nc, t.early, conn.Handshake().Subprotocol)
	if err != nil {
		t.nc.Close()
		return nil, fmt.Errorf("reactor: accept: %w", err)
	}
	return c, nil
}

var errTLS = fmt.Errorf("reactor: a TLS connection of net/http cannot be taken over: use ServeTLS: %w", errors.ErrUnsupported)

// taken is a ResponseWriter whose connection, once hijacked, is kept.
type taken struct {
	http.ResponseWriter
	nc    net.Conn
	early []byte
}

// Unwrap lets http.ResponseController find what the ResponseWriter below can do.
func (t *taken) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Hijack implements http.Hijacker.
func (t *taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.nc = nc
	if n := brw.Reader.Buffered(); n > 0 {
		b, _ := brw.Peek(n) // they are there
		t.early = bytes.Clone(b)
	}
	brw.Reader.Reset(nc)
	return kept{nc}, brw, nil
}

// kept is a net.Conn that somebody else closes.
type kept struct{ net.Conn }

func (kept) Close() error { return nil }
