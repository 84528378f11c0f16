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

// trail records the path on which a connection arrived, to find the hooks that apply. An Endpoint's hooks take precedence over its
// Server's.
type trail struct {
	endpoint *Endpoint // nil means another kind of handler
	server   *Server   // nil means a server of another package
}

func (t *trail) refused(ctx context.Context, remote string, r *http.Request, e *HandshakeError) {
	switch {
	case e == nil:
	case t.endpoint != nil && t.endpoint.Refused != nil:
		t.guard(func() { t.endpoint.Refused(ctx, remote, r, e) })
	case t.server != nil && t.server.Refused != nil:
		t.guard(func() { t.server.Refused(ctx, remote, r, e) })
	case e.Status == http.StatusInternalServerError && e.Stage != handshake.StageCheck: // caused by a mistake in the program
		t.printf("websocket: the handshake of %s was refused: %v", remote, e)
	}
}

func (t *trail) ended(remote func() string, e *CloseError) {
	switch {
	case t.endpoint.Ended != nil:
		t.guard(func() { t.endpoint.Ended(remote(), e) })
	case t.server != nil && t.server.Ended != nil:
		t.guard(func() { t.server.Ended(remote(), e) })
	}
}

// guard calls a hook: a panic in the hook aborts only this call.
func (t *trail) guard(hook func()) {
	defer func() {
		if v := recover(); v != nil && !aborts(v) {
			t.report(v, debug.Stack())
		}
	}()
	hook()
}

// pass passes a connection to a Tunnel. A panic in the Tunnel, or runtime.Goexit, closes the connection.
func (t *trail) pass(tunnel func(net.Conn, []byte), nc net.Conn, early []byte) {
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
func (t *trail) panicked(value any) {
	if !aborts(value) {
		t.panickedAt(value, debug.Stack())
	}
}

func (t *trail) panickedAt(value any, stack []byte) {
	switch {
	case t.endpoint != nil && t.endpoint.Panicked != nil:
		t.guard(func() { t.endpoint.Panicked(value, stack) })
	case t.server != nil && t.server.Panicked != nil:
		t.guard(func() { t.server.Panicked(value, stack) })
	default:
		t.report(value, stack)
	}
}

// report logs an event for which no hook is set, as net/http does.
func (t *trail) report(value any, stack []byte) {
	t.printf("websocket: panic: %v\n%s", value, stack)
}

func (t *trail) printf(format string, args ...any) {
	if t.server != nil && t.server.HTTP.ErrorLog != nil {
		t.server.HTTP.ErrorLog.Printf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// session holds a connection of an Endpoint and its state in one allocation.
type session struct {
	trail
	member
	own   Conn
	hs    Handshake
	late  lateHandshake
	serve func(*Conn)
	open  func(Sender) Receiver

	returned bool // Serve has returned
}

// start makes the Conn and serves it on a new goroutine.
func (s *session) start(nc net.Conn, x *service, early []byte) {
	c := &s.own
	c.init(nc, protocol.RoleServer, x.conn, &s.hs, agreedOn(x.terms.Compressed, &x.terms.Deflate), early)
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
		s.events()
		return
	}
	defer s.served()
	s.serve(&s.own)
	s.returned = true
}

// events serves the connection with Open.
func (s *session) events() {
	var how *CloseError
	defer func() {
		if how == nil {
			how = s.close(CodeInternalError)
		}
		s.trail.ended(s.remote, how)
		s.leave()
	}()
	how = s.own.run(context.Background(), s.open, s.panickedAt)
}

// served ends a session after Serve has returned.
func (s *session) served() {
	code := CodeInternalError
	switch v := recover(); {
	case aborts(v):
		s.own.CloseNow() //nolint:errcheck // CloseNow always returns nil
	case v != nil:
		s.trail.panicked(v)
	case s.returned:
		code = CodeNormal
	}
	s.trail.ended(s.remote, s.close(code))
	s.leave()
}

// close closes the connection, if it has not ended, and returns its CloseError.
func (s *session) close(code Code) *CloseError {
	s.own.Close(code, "") //nolint:errcheck // the hook reports the error of Close
	how, _ := errors.AsType[*CloseError](s.own.ended())
	return how
}

func (s *session) remote() string {
	if a := s.hs.RemoteAddr; a != "" {
		return a
	}
	return s.own.RemoteAddr().String()
}

// lateHandshake holds the data from which a Handshake is completed on demand. Most handlers never need it, and a parsed header
// takes more memory than the connection itself.
type lateHandshake struct {
	head string // the request as received; "" if the Handshake is complete
	nc   net.Conn
}

// whole fills in the remaining fields of h and returns it. mu serializes concurrent calls.
func (h *Handshake) whole(mu *sync.Mutex) *Handshake {
	if h.late != nil {
		mu.Lock()
		defer mu.Unlock()
		h.complete()
	}
	return h
}

func (h *Handshake) complete() {
	l := h.late
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
