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

// trail is the path that a connection came by: it finds the hooks that apply. An Endpoint's come before its Server's.
type trail struct {
	endpoint *Endpoint // nil means a handler of another kind
	server   *Server   // nil means another server
}

func (t *trail) refused(ctx context.Context, remote string, r *http.Request, e *HandshakeError) {
	switch {
	case e == nil:
	case t.endpoint != nil && t.endpoint.Refused != nil:
		t.guard(func() { t.endpoint.Refused(ctx, remote, r, e) })
	case t.server != nil && t.server.Refused != nil:
		t.guard(func() { t.server.Refused(ctx, remote, r, e) })
	case e.Status == http.StatusInternalServerError && e.Stage != handshake.StageCheck: // a mistake of the program's
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

// guard calls a hook, so that a panic in it ends nothing but the call.
func (t *trail) guard(hook func()) {
	defer func() {
		if v := recover(); v != nil && !aborts(v) {
			t.report(v, debug.Stack())
		}
	}()
	hook()
}

// pass hands a connection to a Tunnel. A panic in that, or runtime.Goexit, costs the connection.
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

// panicked reports a panic, unless it is to be quiet as in net/http. It is called by the deferred function that has recovered from it.
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

// report writes what no hook takes, as net/http does.
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

// session is a connection of an Endpoint. All of it is one allocation.
type session struct {
	trail
	member
	own   Conn
	hs    Handshake
	late  lateHandshake
	serve func(*Conn)
	open  func(Sender) Receiver

	returned bool // from Serve
}

// start makes the Conn and serves it on a fresh goroutine.
func (s *session) start(nc net.Conn, x *service, early []byte) {
	c := &s.own
	c.init(nc, protocol.RoleServer, x.conn, &s.hs, agreedOn(x.terms.Compressed, &x.terms.Deflate), early)
	s.join(c, &s.endpoint.roster)
	if s.server != nil {
		s.join(c, &s.server.roster)
	}
	go s.run()
}

// run is the goroutine of a session. It has no frame to spare: with more than 2 KiB of stack a waiting connection would cost
// twice as much. What has to follow is deferred, because of runtime.Goexit in Serve or a Receiver.
func (s *session) run() {
	if s.open != nil {
		s.events()
		return
	}
	defer s.served()
	s.serve(&s.own)
	s.returned = true
}

// events serves with Open.
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

// served ends a session after Serve.
func (s *session) served() {
	code := CodeInternalError
	switch v := recover(); {
	case aborts(v):
		s.own.CloseNow() //nolint:errcheck // it returns nil
	case v != nil:
		s.trail.panicked(v)
	case s.returned:
		code = CodeNormal
	}
	s.trail.ended(s.remote, s.close(code))
	s.leave()
}

// close closes the connection, if it has not ended, and returns how it ended.
func (s *session) close(code Code) *CloseError {
	s.own.Close(code, "") //nolint:errcheck // it is reported by the hook
	how, _ := errors.AsType[*CloseError](s.own.ended())
	return how
}

func (s *session) remote() string {
	if a := s.hs.RemoteAddr; a != "" {
		return a
	}
	return s.own.RemoteAddr().String()
}

// lateHandshake is what the rest of a Handshake is made of when it is asked for: most handlers never do, and a parsed
// header costs more memory than the connection itself.
type lateHandshake struct {
	head string // as it was received; "" when the Handshake is whole
	nc   net.Conn
}

// whole returns h with all its fields. mu serializes concurrent calls.
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
	} else { // a target that is not a URI; Check lets none through that net/http would not
		h.Header = http.Header{}
	}
	l.head, l.nc = "", nil
}

func (h *Handshake) fromRequest(r *http.Request) {
	h.Proto, h.URL, h.Header = r.Proto, r.URL, r.Header
}

// tlsState returns nil when nc is without TLS.
func tlsState(nc net.Conn) *tls.ConnectionState {
	if t, ok := nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		return &state
	}
	return nil
}
