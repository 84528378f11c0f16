package websocket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
)

// handover is what belongs to one listener. It is one itself: from it the http.Server gets the connections that are no
// upgrades.
type handover struct {
	addr   net.Addr
	silent bool // the connections come without keep-alive
	conns  chan net.Conn
	once   sync.Once
	ended  chan struct{}

	work chan *arrival // to goroutines that have gone through a handshake
	idle chan struct{} // holds one of each of these that waits
}

// maxIdle bounds the goroutines that wait for a handshake. Those of more connections at once end after theirs.
const maxIdle = 64

// serveHTTP runs HTTP for the connections that come on l. The handover ends with Close, and with HTTP.
func (s *Server) serveHTTP(l net.Listener) *handover {
	h := &handover{
		addr: l.Addr(), conns: make(chan net.Conn), ended: make(chan struct{}),
		work: make(chan *arrival), idle: make(chan struct{}, maxIdle),
	}
	if s.HTTP != nil {
		go func() {
			s.HTTP.Serve(h) //nolint:errcheck // it ends with h
			h.end()
			s.mu.Lock()
			s.done()
			s.mu.Unlock()
		}()
	}
	return h
}

// next waits for another handshake. It returns nil when enough others wait, or when there will be none.
func (h *handover) next() *arrival {
	select {
	case h.idle <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-h.idle }()
	select {
	case o := <-h.work:
		return o
	case <-h.ended:
		return nil
	}
}

// Accept waits for the next connection.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case nc := <-h.conns:
		return nc, nil
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. Connections that were handed over go on.
func (h *handover) Close() error {
	h.end()
	return nil
}

func (h *handover) end() { h.once.Do(func() { close(h.ended) }) }

// Addr returns the address of the listener that clients connect to.
func (h *handover) Addr() net.Addr { return h.addr }

// handOver gives the connection to HTTP, with all that was read from it.
func (o *arrival) handOver() {
	nc := o.nc
	if o.pages.silent {
		keepAlive(nc)
	}
	if len(o.buf) > 0 {
		r := &replayed{Conn: nc, rest: bytes.Clone(o.buf)}
		if state, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
			nc = &replayedTLS{r, state.ConnectionState}
		} else {
			nc = r
		}
	}
	if o.serve.HTTP == nil || nc.SetDeadline(time.Time{}) != nil {
		nc.Close()
		return
	}
	select {
	case o.pages.conns <- nc:
	case <-o.pages.ended:
		nc.Close()
	}
}

// replayed is a connection from which bytes were read that come first again.
type replayed struct {
	net.Conn
	rest []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; len(r.rest) == 0 {
		r.rest = nil
	}
	return n, nil
}

// ReadFrom lets files go out without a copy where the system can do that.
func (r *replayed) ReadFrom(src io.Reader) (int64, error) {
	if to, ok := r.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{r.Conn}, src)
}

// CloseWrite closes the sending half, where there are two.
func (r *replayed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// replayedTLS tells net/http that there is TLS below.
type replayedTLS struct {
	*replayed
	state func() tls.ConnectionState
}

func (r *replayedTLS) ConnectionState() tls.ConnectionState { return r.state() }

// unwrapped returns the connection below one that was handed over, once nothing is left to come first: the Conn on top
// knows what to do with a bare socket.
func unwrapped(nc net.Conn) net.Conn {
	r, ok := nc.(*replayed)
	if t, isTLS := nc.(*replayedTLS); isTLS {
		r, ok = t.replayed, true
	}
	if ok && len(r.rest) == 0 {
		return r.Conn
	}
	return nc
}

// ServeHTTP is [Accept] with the Handler behind it, for a request that net/http has read. It does not look at Paths. It
// returns when the handshake is over; the Handler runs in a goroutine of its own, and Shutdown and Close see to it too.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fail := s.enter(); fail != nil {
		s.tell(r.RemoteAddr, refuse(w, r, fail))
		return
	}
	c, err := Accept(w, r, &s.Accept)
	if fail, ok := errors.AsType[*HandshakeError](err); ok {
		s.tell(r.RemoteAddr, fail)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.done()
		return
	}
	e := &session{serve: s, conn: c}
	s.sessions.add(e)
	if s.closing {
		go c.Close(CodeGoingAway, "") //nolint:errcheck // the Handler hears how it ended
	}
	go e.run()
}

// enter counts a handshake in that came by ServeHTTP, or says why there is none.
func (s *Server) enter() *opening.Refusal {
	if s.Handler == nil {
		return opening.Faulty(handshake.StageStatus, errNoHandler, "set Server.Handler", "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start()
	if s.closing {
		return denied(errGoingAway)
	}
	s.active++
	return nil
}

var errGoingAway = &Reject{Status: http.StatusServiceUnavailable, Reason: "The server is shutting down; try again."}

// tell tells Refused.
func (s *Server) tell(remote string, e *HandshakeError) {
	if s.Refused != nil {
		s.Refused(remote, e)
	}
}
