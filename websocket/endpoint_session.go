package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/protocol"
)

// reporter records the path on which a connection arrived, to find the hooks that apply. An Endpoint's hooks take precedence over its
// Server's.
type reporter struct {
	endpoint *Endpoint // nil means another kind of handler
	server   *Server   // nil means a server of another package
}

func (t *reporter) refused(ctx context.Context, remote string, r *http.Request, e *HandshakeError) {
	switch {
	case e == nil:
	case t.endpoint != nil && t.endpoint.Refused != nil:
		t.callHook(func() { t.endpoint.Refused(ctx, remote, r, e) })
	case t.server != nil && t.server.Refused != nil:
		t.callHook(func() { t.server.Refused(ctx, remote, r, e) })
	case e.Status == http.StatusInternalServerError && e.Stage != handshake.StageCheck: // caused by a mistake in the program
		t.printf("websocket: the handshake of %s was refused: %v", remote, e)
	}
}

func (t *reporter) ended(remote func() string, e *CloseError) {
	switch {
	case t.endpoint.Ended != nil:
		t.callHook(func() { t.endpoint.Ended(remote(), e) })
	case t.server != nil && t.server.Ended != nil:
		t.callHook(func() { t.server.Ended(remote(), e) })
	}
}

// callHook calls a hook: a panic in the hook aborts only this call.
func (t *reporter) callHook(hook func()) {
	defer func() {
		if v := recover(); v != nil && !isAbort(v) {
			t.report(v, debug.Stack())
		}
	}()
	hook()
}

// serveTunnel passes a connection to a Tunnel. A panic in the Tunnel, or runtime.Goexit, closes the connection.
func (t *reporter) serveTunnel(tunnel func(net.Conn, []byte), nc net.Conn, early []byte) {
	returned := false
	defer func() {
		if returned {
			return
		}
		nc.Close()
		if v := recover(); v != nil {
			t.panicked(v)
		}
	}()
	tunnel(nc, early)
	returned = true
}

// panicked reports a panic, except for http.ErrAbortHandler, as net/http does. It is called by the deferred function that recovered
// from the panic.
func (t *reporter) panicked(value any) {
	if !isAbort(value) {
		t.panickedAt(value, debug.Stack())
	}
}

func (t *reporter) panickedAt(value any, stack []byte) {
	switch {
	case t.endpoint != nil && t.endpoint.Panicked != nil:
		t.callHook(func() { t.endpoint.Panicked(value, stack) })
	case t.server != nil && t.server.Panicked != nil:
		t.callHook(func() { t.server.Panicked(value, stack) })
	default:
		t.report(value, stack)
	}
}

// report logs an event for which no hook is set, as net/http does.
func (t *reporter) report(value any, stack []byte) {
	t.printf("websocket: panic: %v\n%s", value, stack)
}

func (t *reporter) printf(format string, args ...any) {
	if t.server != nil && t.server.HTTP.ErrorLog != nil {
		t.server.HTTP.ErrorLog.Printf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// session holds a connection of an Endpoint and its state in one allocation.
type session struct {
	reporter
	member
	conn  Conn
	hs    Handshake
	lazy  lazyHandshake
	serve func(*Conn)
	open  func(Sender) Receiver

	returned bool // Serve has returned
}

// start makes the Conn and serves it on a new goroutine.
func (s *session) start(nc net.Conn, x *service, early []byte) {
	c := &s.conn
	c.init(nc, protocol.RoleServer, x.conn, &s.hs, deflateIf(x.terms.Compressed, &x.terms.Deflate), early)
	s.join(c, &s.endpoint.roster)
	if s.server != nil {
		s.join(c, &s.server.roster)
	}
	go s.run()
}

// run runs on a session's own goroutine. Its frame must stay small: with a stack of more than 2 KiB a waiting connection would take
// twice as much memory. The final steps are deferred, because Serve or a Receiver may call runtime.Goexit.
func (s *session) run() {
	if s.open != nil {
		s.runReceiver()
		return
	}
	defer s.afterServe()
	s.serve(&s.conn)
	s.returned = true
}

// runReceiver serves the connection with Open.
func (s *session) runReceiver() {
	var closeErr *CloseError
	defer func() {
		if closeErr == nil {
			closeErr = s.close(CodeInternalError)
		}
		s.reporter.ended(s.remote, closeErr)
		s.leave()
	}()
	closeErr = s.conn.run(context.Background(), s.open, s.panickedAt)
}

// afterServe ends a session after Serve has returned.
func (s *session) afterServe() {
	code := CodeInternalError
	switch v := recover(); {
	case isAbort(v):
		s.conn.CloseNow() //nolint:errcheck // CloseNow always returns nil
	case v != nil:
		s.reporter.panicked(v)
	case s.returned:
		code = CodeNormal
	}
	s.reporter.ended(s.remote, s.close(code))
	s.leave()
}

// close closes the connection, if it has not ended, and returns its CloseError.
func (s *session) close(code Code) *CloseError {
	s.conn.Close(code, "") //nolint:errcheck // the hook reports the error of Close
	closeErr, _ := errors.AsType[*CloseError](s.conn.ended())
	return closeErr
}

func (s *session) remote() string {
	if a := s.hs.RemoteAddr; a != "" {
		return a
	}
	return s.conn.RemoteAddr().String()
}

// lazyHandshake holds the data from which a Handshake is completed on demand. Most handlers never need it, and a parsed header
// takes more memory than the connection itself.
type lazyHandshake struct {
	head string // the request as received; "" if the Handshake is complete
	nc   net.Conn
}

// completed fills in the remaining fields of h and returns it. mu serializes concurrent calls.
func (h *Handshake) completed(mu *sync.Mutex) *Handshake {
	if h.lazy != nil {
		mu.Lock()
		defer mu.Unlock()
		h.complete()
	}
	return h
}

func (h *Handshake) complete() {
	l := h.lazy
	if l.head == "" {
		return
	}
	h.RemoteAddr = remoteOf(l.nc).String()
	h.TLS = tlsState(l.nc)
	var r http.Request
	if err := opening.Request(&r, l.head); err == nil {
		h.fromRequest(&r)
	} else { // the request target is not a URI; not expected, since Check rejects the targets that net/http would reject
		h.Header = http.Header{}
	}
	l.head, l.nc = "", nil
}

func (h *Handshake) fromRequest(r *http.Request) {
	h.Proto, h.URL, h.Header = r.Proto, r.URL, r.Header
}

// tlsState returns nil if nc is not a TLS connection.
func tlsState(nc net.Conn) *tls.ConnectionState {
	if t, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		return &state
	}
	return nil
}
