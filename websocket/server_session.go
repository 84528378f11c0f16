package websocket

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// session is a client that was let in. All of it is one allocation, for a client that came by Serve.
type session struct {
	conn  *Conn // &own, or one that Accept has made
	own   Conn
	hs    Handshake
	late  lateHandshake
	serve *Server
	ring  links[*session]
}

func (e *session) links() *links[*session] { return &e.ring }

// run is the goroutine of a session.
func (e *session) run() {
	e.serve.Handler(e.conn)
	e.conn.Close(CodeNormal, "") //nolint:errcheck // nobody is left to be told
	s := e.serve
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.remove(e)
	s.done()
}

// lateHandshake is what the rest of a Handshake is made of when somebody asks for it: most handlers never do, and a
// parsed header costs more memory than the connection itself.
type lateHandshake struct {
	head string // as it came; "" when the Handshake is whole
	nc   net.Conn
}

// whole returns h with all its fields. mu keeps those apart who ask at once.
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
	h.RemoteAddr = l.nc.RemoteAddr().String()
	h.TLS = tlsState(l.nc)
	if r, err := opening.Request(l.head); err == nil {
		h.fromRequest(r)
	} else { // a target that is no URI; Check lets none through that net/http would not
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
