package websocket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// arrival is a connection in its handshake, with the received part of its request and the parsed request. It is taken from a pool,
// and used until the handshake is over.
type arrival struct {
	server   *Server
	source   *source
	raw      net.Conn        // from the listener
	nc       net.Conn        // the connection that carries the request: raw, or a wrapper around it
	ctx      context.Context // the context of the connection
	tls      bool
	head     opening.Head
	buf      []byte // the request, followed by the bytes that the client has sent early
	text     string // the request's head once it is complete
	waiter   waiter
	deadline time.Time     // the deadline of the current step
	start    func()        // the method value run, created once
	storage  [4 << 10]byte // the memory of buf, except for long requests
}

var arrivals = sync.Pool{New: func() any { return new(arrival) }}

// startHandshake begins the handshake on nc, in a new goroutine.
func (s *Server) startHandshake(nc net.Conn, src *source) {
	a := arrivals.Get().(*arrival)
	if a.start == nil {
		a.start = a.run
	}
	a.server, a.source, a.raw, a.nc = s, src, nc, nc
	s.mu.Lock()
	if s.closing || !s.roster.enter() {
		s.mu.Unlock()
		nc.Close()
		return
	}
	s.pending[a] = true
	s.mu.Unlock()
	select {
	case src.work <- a:
	default:
		go a.start()
	}
}

var (
	errEvicted = errors.New("too many connections are in their handshake, and this address has the most of them")
	errHead    = errors.New("the connection ended before the head of the request was complete")
)

// addWaiting adds a connection to the set of connections that have not sent a request yet. If there are too many, it cuts one of them.
func (s *Server) addWaiting(ctx context.Context, m *waiter, nc net.Conn, remote net.Addr) {
	limit := defaultMaxHandshakes
	if s.MaxHandshakes != nil {
		counted := false
		t := reporter{server: s}
		t.callHook(func() { limit, counted = s.MaxHandshakes(remote), true })
		if !counted { // MaxHandshakes panicked
			belowTLS(nc).Close()
		}
		if !counted || limit < 0 {
			return
		}
	}
	m.ctx, m.nc, m.remote = ctx, nc, remote
	if cut := s.waiting.add(m, limit); cut.nc != nil {
		belowTLS(cut.nc).Close()
		if cut.reported {
			return
		}
		t := reporter{server: s}
		t.refused(cut.ctx, cut.remote.String(), nil, &HandshakeError{Stage: handshake.StageEvicted, Err: errEvicted})
	}
}

// run is the goroutine function for handshakes. It performs a's handshake, and then others, unless too many goroutines already wait
// for one. Reusing the goroutine avoids growing a new stack for each handshake.
func (a *arrival) run() {
	for a != nil {
		src := a.source
		a.serve()
		a = src.next()
	}
}

// serve performs one handshake, and returns a to the pool.
func (a *arrival) serve() {
	s := a.server
	defer s.roster.leave()
	if w := a.handshakeRecovered(); w != nil {
		w.run()
	}
}

// handshakeRecovered performs the handshake. A panic in a hook ends only this connection. handshakeRecovered returns a to the pool.
func (a *arrival) handshakeRecovered() (w *responder) {
	s, returned := a.server, false
	defer func() {
		if !returned { // a hook has panicked, or called runtime.Goexit
			a.abort()
			t := reporter{server: s}
			if v := recover(); v != nil {
				t.panicked(v)
			}
			t.callHook(func() { a.state(http.StateClosed) })
		}
		s.mu.Lock()
		delete(s.pending, a)
		s.mu.Unlock()
		s.waiting.leave(&a.waiter)
		a.head.Reset(opening.Limits{})
		a.server, a.source, a.raw, a.nc, a.ctx, a.tls = nil, nil, nil, nil, nil, false
		a.buf, a.text, a.waiter, a.deadline = nil, "", waiter{}, time.Time{}
		arrivals.Put(a)
	}()
	w = a.handshake()
	returned = true
	return w
}

// abort cuts the connection from another goroutine.
func (a *arrival) abort() { belowTLS(a.raw).Close() }

// belowTLS returns the connection below TLS, since closing the TLS connection would wait to send a close_notify.
func belowTLS(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return nc
}

// close closes the connection.
func (a *arrival) close() {
	a.nc.Close()
	a.state(http.StateClosed)
}

// state calls the http.Server's hook.
func (a *arrival) state(state http.ConnState) {
	if f := a.server.connState; f != nil {
		f(a.raw, state)
	}
}

// refused reports a connection that failed, on behalf of an Endpoint if there is one. It does not report a connection that was
// evicted, or cut because the Server is closing.
func (a *arrival) refused(endpoint *Endpoint, e *HandshakeError) {
	if errors.Is(e.Err, net.ErrClosed) || !a.server.waiting.report(&a.waiter) {
		return
	}
	t := reporter{endpoint: endpoint, server: a.server}
	t.refused(a.ctx, remoteOf(a.nc).String(), nil, e)
}

// handshake performs all steps until the connection is a WebSocket, or has been handed over. If the Handler must respond to the
// request, handshake returns its responder, and otherwise nil.
func (a *arrival) handshake() *responder {
	s := a.server
	a.ctx = a.source.base
	if s.connContext != nil {
		if a.ctx = s.connContext(a.source.base, a.raw); a.ctx == nil {
			panic("websocket: ConnContext returned nil")
		}
	}
	a.state(http.StateNew)
	if s.Preface == nil { // otherwise the address of the client is not known yet
		s.addWaiting(a.ctx, &a.waiter, a.raw, remoteOf(a.nc))
	}
	first := s.TLSTimeout
	if first <= 0 {
		first = s.headTimeout()
	}
	if !a.setDeadline(first) || s.Preface != nil && !a.preface() || !a.startTLS() || s.TLSTimeout > 0 && !a.setDeadline(s.headTimeout()) {
		return nil
	}
	if a.negotiatedOther() {
		a.handOver()
		return nil
	}
	verdict, refused := a.read()
	switch {
	case refused != nil:
		a.refuse(refused)
	case verdict == opening.Upgrade:
		return a.upgrade()
	case verdict == opening.More && len(a.buf) == 0: // nothing was received
		a.close()
	default:
		a.handOver()
	}
	return nil
}

// deadlineSlack is the time by which an existing deadline may be too early and still be kept.
const deadlineSlack = 10 * time.Millisecond

// setDeadline sets the time limit for the next step. It returns false when the connection is closed.
func (a *arrival) setDeadline(d time.Duration) bool {
	until := time.Now().Add(d)
	if later := until.Sub(a.deadline); 0 <= later && later < deadlineSlack {
		return true
	}
	a.deadline = until
	if err := a.nc.SetDeadline(a.deadline); err != nil {
		a.close()
		return false
	}
	return true
}

// preface calls Server.Preface, which reads the bytes that a proxy sends before the client's.
func (a *arrival) preface() bool {
	s := a.server
	remote, err := s.Preface(a.ctx, a.raw)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			a.refused(nil, &HandshakeError{Stage: handshake.StageProxy, Err: err})
		}
		a.close()
		return false
	}
	if remote != nil {
		a.nc = transport.Accept(a.raw, remote)
	}
	s.addWaiting(a.ctx, &a.waiter, a.raw, remoteOf(a.nc))
	return true
}

// startTLS performs the TLS handshake, if TLS is configured.
func (a *arrival) startTLS() bool {
	t, ok := a.nc.(*tls.Conn) // from a TLS listener
	if !ok && a.source.tls != nil {
		if config := a.source.tls(a.ctx, a.nc); config != nil {
			below, named := a.nc.(*transport.Accepted)
			if !named {
				below = transport.Accept(a.nc, nil)
			}
			t, ok = tls.Server(below, config), true
			a.nc = t
		}
	}
	if !ok {
		_, a.tls = a.nc.(interface{ ConnectionState() tls.ConnectionState })
		return true
	}
	return a.tlsHandshake(t)
}

//go:noinline
func (a *arrival) tlsHandshake(t *tls.Conn) bool {
	a.tls = true
	if err := t.Handshake(); err != nil {
		a.refuseTLS(err)
		return false
	}
	return true
}

// negotiatedOther reports whether a protocol other than HTTP/1 was negotiated.
//
//go:noinline
func (a *arrival) negotiatedOther() bool {
	t, ok := a.nc.(*tls.Conn)
	if !ok {
		return false
	}
	p := t.ConnectionState().NegotiatedProtocol
	return p != "" && p != "http/1.1"
}

// read reads until the request's head is complete. If the head is longer than this package's limit, the verdict is More.
func (a *arrival) read() (opening.Verdict, *opening.Refusal) {
	limit := a.server.headBytes()
	a.head.Reset(opening.Limits{Bytes: limit})
	a.buf = a.storage[:0]
	for {
		if len(a.buf) == cap(a.buf) {
			a.buf = slices.Grow(a.buf, cap(a.buf))
		}
		n, err := a.nc.Read(a.buf[len(a.buf):cap(a.buf)])
		a.buf = a.buf[:len(a.buf)+n]
		verdict, v := a.head.Parse(a.buf)
		switch {
		case v != nil && v.Status == http.StatusRequestHeaderFieldsTooLarge:
			return opening.More, nil
		case v != nil:
			return verdict, opening.Violated(v)
		case verdict != opening.More:
			return verdict, nil
		case err == nil:
		case len(a.buf) == 0:
			return opening.More, nil
		case transport.IsTimeout(err): // RFC 9110 §15.5.9: 408 (Request Timeout)
			return opening.More, opening.Violated(requestTimeout)
		default:
			if err == io.EOF { //nolint:errorlint // connections return io.EOF unwrapped
				err = io.ErrUnexpectedEOF
			}
			return opening.More, &opening.Refusal{Stage: handshake.StageRequest, Err: err}
		}
	}
}

var requestTimeout = &handshake.Violation{
	Stage: handshake.StageRequest, Section: "RFC 9110 §15.5.9", Status: http.StatusRequestTimeout,
	Detail: "the head of the request did not arrive in time",
}

// upgrade responds to a WebSocket request, or returns it for the Handler to respond to.
func (a *arrival) upgrade() *responder {
	s := a.server
	// Only this copy of the request is kept: all strings from here on are substrings of it.
	a.text = string(a.buf[:a.head.Len()])
	req := a.head.Opening(a.text)
	req.TLS = a.tls
	if req.Content { // HTTP determines the end of the content
		a.handOver()
		return nil
	}
	if !s.waiting.leave(&a.waiter) {
		a.close()
		return nil
	}
	a.state(http.StateActive)
	if e, ok := s.handler.(*Endpoint); ok && e.Admit == nil {
		a.serveEndpoint(e, req)
		return nil
	}
	if req.Target[0] != '/' { // net/http ignores the Host header if the target is an absolute URI, and so does not find errors in it
		if v := req.Check(); v != nil && v.Status == http.StatusBadRequest {
			a.refuse(opening.Violated(v))
			return nil
		}
	}
	return a.newResponder()
}

// leavePending ends the phase in which a Shutdown cuts the connection. It returns false if a Shutdown has begun. Otherwise, Close cuts
// next from then on, unless next is nil.
func (a *arrival) leavePending(next pending) bool {
	s := a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, a)
	if !s.closing && next != nil {
		s.pending[next] = false
	}
	return !s.closing
}

// serveEndpoint serves a client of an Endpoint that needs no request.
func (a *arrival) serveEndpoint(e *Endpoint, req *handshake.Opening) {
	if len(e.Accept.TrustedProxies) > 0 {
		req.RemoteAddr = remoteOf(a.nc).String()
	}
	if !e.roster.enter() {
		a.refuseFor(e, denied(errGoingAway))
		return
	}
	defer e.roster.leave()
	t := reporter{endpoint: e, server: a.server}
	var x service
	if refused := e.decide(&x, req, nil, &t); refused != nil {
		a.refuseFor(e, refused)
		return
	}
	var early []byte
	if rest := a.buf[a.head.Len():]; len(rest) > 0 {
		early = bytes.Clone(rest)
	}
	if err := a.send(x.terms.AppendAnswer(a.buf[:0], req, nil, e.Accept.Header)); err != nil {
		t.refused(a.ctx, remoteOf(a.nc).String(), nil, &HandshakeError{Stage: handshake.StageStatus, Err: err})
		a.close()
		return
	}
	a.state(http.StateHijacked)
	if x.open != nil && t.serveOnLoop(a.nc, &x, early, nil) {
		return
	}
	s := &session{reporter: t, serve: x.serve, open: x.open}
	s.hs = Handshake{Proto: "HTTP/1.1", Subprotocol: x.terms.Subprotocol, Extensions: x.terms.Extensions()}
	s.lazy.head, s.lazy.nc = a.text, a.nc
	s.hs.lazy = &s.lazy
	s.start(a.nc, &x, early)
}

// send sends the 101 response, and removes the time limit of the handshake.
func (a *arrival) send(head []byte) error {
	if !a.leavePending(nil) {
		return http.ErrServerClosed
	}
	if _, err := a.nc.Write(head); err != nil {
		return err
	}
	return a.nc.SetDeadline(time.Time{})
}
