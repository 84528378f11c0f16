package websocket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
)

// httpConn is the state of a connection that the Server has passed to HTTP.
type httpConn struct {
	server       *Server
	raw          net.Conn // from the listener
	remote       net.Addr
	ctx          context.Context // the context of the connection
	waiter       waiter
	requestBegun atomic.Bool // a request has begun to arrive
	handled      atomic.Bool // the request that began has reached the Handler, or was answered by HTTP
	readErr      atomic.Pointer[readError]
	headTimer    *time.Timer // ends the connection if its first head is not complete in time
	preface      bool        // the next request that HTTP reports as begun is only the HTTP/2 preface
}

type httpConnKey struct{}

// newHTTPConn registers a connection that is passed to HTTP. Its first head must be complete within left: HTTP's own time limits begin
// only now, and HTTP has none for the HTTP/2 preface. early are the bytes that were already read.
func (s *Server) newHTTPConn(ctx context.Context, yielded net.Conn, remote net.Addr, left time.Duration, early []byte) *httpConn {
	h := &httpConn{server: s, raw: yielded, remote: remote}
	h.ctx = context.WithValue(ctx, httpConnKey{}, h)
	expire := h.abort
	if len(early) > 0 && !bytes.HasPrefix(early, prefaceHTTP2) {
		expire = h.expire
	}
	h.headTimer = time.AfterFunc(left, expire)
	return h
}

// prefaceHTTP2 is the beginning of an HTTP/2 connection (RFC 9113 §3.4).
var prefaceHTTP2 = []byte("PRI * HTTP/2.0\r\n")

// abort closes the connection.
func (h *httpConn) abort() { belowTLS(h.raw).Close() }

// expire makes a read of the first head fail, so that the client gets a response, and closes the connection if the failed read does
// not end it.
func (h *httpConn) expire() {
	if h.requestBegun.Load() {
		return
	}
	if belowTLS(h.raw).SetReadDeadline(time.Unix(1, 0)) != nil {
		return
	}
	time.AfterFunc(lingerTime, func() {
		if !h.requestBegun.Load() {
			h.abort()
		}
	})
}

// handOver passes the connection to HTTP, with all bytes that were read from it.
func (a *arrival) handOver() {
	s := a.server
	h := s.newHTTPConn(a.ctx, a.raw, remoteOf(a.nc), time.Until(a.deadline), a.buf)
	nc := a.nc
	t, isTLS := nc.(*tls.Conn)
	r := &replayed{Conn: nc, conn: h}
	switch {
	case isTLS && len(a.buf) == 0: // HTTP must see a *tls.Conn
		if h.preface = t.ConnectionState().NegotiatedProtocol == "h2"; !h.preface {
			h.headTimer.Stop() // another application protocol, for which HTTP reports no request
		}
		s.mu.Lock()
		s.tlsHTTPConns[t] = h
		s.mu.Unlock()
	case a.tls:
		r.rest = bytes.Clone(a.buf)
		nc = &replayedTLS{r, a.nc.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState}
	default:
		r.rest = bytes.Clone(a.buf)
		nc = r
	}
	if nc.SetDeadline(time.Time{}) != nil || !a.leavePending(nil) || !s.waiting.leave(&a.waiter) {
		h.release(nc)
		a.close()
	} else if !h.deliver(nc, a.source) {
		a.close()
	}
}

// deliver passes the connection to HTTP, as nc. It returns false if HTTP accepts no more connections.
func (h *httpConn) deliver(nc net.Conn, src *source) bool {
	if r, ok := nc.(*replayed); ok && bytes.HasPrefix(r.rest, prefaceHTTP2) {
		h.preface = true
	}
	h.server.addWaiting(h.ctx, &h.waiter, h.raw, h.remote)
	select {
	case src.conns <- nc:
		return true
	case <-src.ended:
		h.release(nc)
		return false
	}
}

// release forgets the connection, which HTTP knows as nc. It reports whether the connection had not been evicted.
func (h *httpConn) release(nc net.Conn) bool {
	h.headTimer.Stop()
	if t, ok := nc.(*tls.Conn); ok {
		h.server.mu.Lock()
		delete(h.server.tlsHTTPConns, t)
		h.server.mu.Unlock()
	}
	return h.server.waiting.leave(&h.waiter)
}

// httpConnOf returns the state of a connection that HTTP serves, or nil if it did not arrive through s.
func (s *Server) httpConnOf(nc net.Conn) *httpConn {
	switch t := nc.(type) {
	case *replayed:
		return t.conn
	case *replayedTLS:
		return t.conn
	case *tls.Conn:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.tlsHTTPConns[t]
	}
	return nil
}

// wrapHooks makes HTTP call its hooks with the listener and the connections that were passed to the Server.
func (s *Server) wrapHooks() {
	h := s.HTTP
	s.baseContext, s.connContext, s.connState, s.handler = h.BaseContext, h.ConnContext, h.ConnState, h.Handler
	if s.handler == nil {
		s.handler = http.DefaultServeMux
	}
	h.Handler = http.HandlerFunc(s.serveHandler)
	h.BaseContext = func(l net.Listener) context.Context {
		switch src, ok := l.(*source); {
		case ok:
			return src.base
		case s.baseContext != nil:
			return s.baseContext(l)
		}
		return context.Background()
	}
	h.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		switch k := s.httpConnOf(nc); {
		case k != nil:
			return k.ctx
		case s.connContext != nil:
			return s.connContext(ctx, nc)
		}
		return ctx
	}
	h.ConnState = func(nc net.Conn, state http.ConnState) {
		if k := s.httpConnOf(nc); k != nil {
			k.state(nc, state)
		} else if s.connState != nil {
			s.connState(nc, state)
		}
	}
}

// serveHandler passes a request that HTTP has read to the Handler.
func (s *Server) serveHandler(w http.ResponseWriter, r *http.Request) {
	if h, ok := r.Context().Value(httpConnKey{}).(*httpConn); ok {
		h.handled.Store(true)
	}
	s.handler.ServeHTTP(w, r)
}

// state records a state change that HTTP reports for a connection, which it knows as nc.
func (h *httpConn) state(nc net.Conn, state http.ConnState) {
	s := h.server
	switch state {
	case http.StateNew: // the Server has already reported the connection
		if s.stopped() { // a Shutdown or Close of HTTP that has begun does not see this connection
			belowTLS(h.raw).Close()
		}
		return
	case http.StateActive:
		if h.requestBegun.Store(true); h.preface {
			h.preface = false
		} else {
			h.headTimer.Stop()
		}
		s.waiting.remove(&h.waiter)
		if s.CountPages {
			s.addWaiting(h.ctx, &h.waiter, h.raw, h.remote) // adds the connection again, as the newest one of its address
		}
	case http.StateIdle:
		h.requestBegun.Store(false)
		h.handled.Store(false)
		h.readErr.Store(nil) // forget the timeout with which HTTP interrupted its background read
		s.waiting.remove(&h.waiter)
		s.addWaiting(h.ctx, &h.waiter, h.raw, h.remote)
	case http.StateHijacked, http.StateClosed:
		if h.release(nc) && h.pending() {
			h.report(&HandshakeError{Stage: handshake.StageRequest, Err: h.headError()})
		}
	}
	if s.connState != nil {
		s.connState(h.raw, state)
	}
}

// replayed is a connection whose Read first returns the bytes that were already read from it.
type replayed struct {
	net.Conn
	conn *httpConn
	rest []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		n, err := r.Conn.Read(p)
		if err != nil {
			r.conn.readErr.Store(&readError{err})
		}
		return n, err
	}
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; len(r.rest) == 0 {
		r.rest = nil
	}
	return n, nil
}

// ReadFrom sends files without a copy where the system supports that.
func (r *replayed) ReadFrom(src io.Reader) (int64, error) {
	if to, ok := r.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	return io.Copy(struct{ io.Writer }{r.Conn}, src)
}

// CloseWrite closes the sending direction if the connection can do that.
func (r *replayed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// replayedTLS shows net/http that the underlying connection uses TLS.
type replayedTLS struct {
	*replayed
	state func() tls.ConnectionState
}

func (r *replayedTLS) ConnectionState() tls.ConnectionState { return r.state() }

// unwrapReplayed returns the connection below a replayed one, if no bytes are left to replay, and otherwise nc. A Conn can use a bare
// socket more efficiently.
func unwrapReplayed(nc net.Conn) net.Conn {
	r, ok := nc.(*replayed)
	if t, isTLS := nc.(*replayedTLS); isTLS {
		r, ok = t.replayed, true
	}
	if ok && len(r.rest) == 0 {
		return r.Conn
	}
	return nc
}
