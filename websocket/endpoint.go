package websocket

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
)

// Endpoint is an [http.Handler] that accepts WebSocket connections and serves them, either with a goroutine for each connection or
// on event loops. It works behind any mux and middleware, on any server that [Accept] works with. Behind a [Server], its
// connections are less expensive.
//
// The fields are set before the first request and not changed afterwards. The methods are safe for concurrent use. The zero
// value rejects every client: one of Serve and Open is required. An Endpoint must not be copied after its first use.
type Endpoint struct {
	// Accept holds the options for opening handshakes and for the connections. Its Check must be nil: Admit replaces it. With Open,
	// the write queue must not have the policy QueueBlock, and HalfClose must not be set.
	Accept AcceptOptions

	// Admit runs after the protocol and origin checks and before the 101 response. It decides how a client is served, and may
	// block: the request's Context ends when the client disconnects. A non-nil error rejects the handshake: a [*Reject] sets the
	// reply, any other error is answered with 403 and its text is not sent. A nil Admission means that the Endpoint's fields apply.
	// A nil Admit admits every client.
	Admit func(*http.Request) (*Admission, error)

	// Serve serves one client, on its own goroutine. When it returns, the connection is closed with CodeNormal, unless it has
	// already ended.
	Serve func(*Conn)

	// Open returns the Receiver of one client's messages. It is called when the connection is open.
	Open func(Sender) Receiver

	Hooks

	roster roster
	loops  lazyLoops // the event loops of connections that did not arrive through a Server

	mu      sync.Mutex
	kinds   map[kindKey]*eventKind // the settings of connections on event loops
	servers map[*Server]struct{}   // the Servers through which connections arrived
}

// Admission is the result of [Endpoint.Admit] for one connection.
type Admission struct {
	// Options replace the Endpoint's Accept.Conn. nil means that Accept.Conn applies.
	Options *ConnOptions

	// Subprotocol must be one that the client offered; any other fails the handshake with 500. "" means that the Endpoint's
	// Accept.Subprotocols apply.
	Subprotocol string

	// Header is added to the 101 response, after the Endpoint's Accept.Header.
	Header http.Header

	// Serve, Open or Tunnel replaces the Endpoint's Serve and Open. At most one of the three may be set.
	Serve func(*Conn)
	Open  func(Sender) Receiver

	// Tunnel takes over the underlying connection, with the bytes that the client has sent since its request, for a proxy that
	// forwards frames unchanged. It must return soon. The application must close the connection at the end, since neither Shutdown
	// nor Ended covers it.
	Tunnel func(nc net.Conn, early []byte)

	// Extensions is the Sec-WebSocket-Extensions header of the 101 response, from the server behind a Tunnel. It is for Tunnel
	// only.
	Extensions string
}

// Hooks report what happens to connections. They are called concurrently by multiple goroutines and must return soon. A nil
// hook is not called. A panic in a hook affects only that call.
type Hooks struct {
	// Refused reports a rejected client and the reason. remote is the client's address. ctx is the context of the request or, if
	// there is no request, of the connection; it has the values of BaseContext and ConnContext. The request is nil if net/http could
	// not have parsed it, or if it was not needed. Connections that end before they have sent anything, or because the Server
	// closes, are not reported, except those that were closed to make room (handshake.StageEvicted). If Refused is nil, a
	// configuration error in the Endpoint or the Admission is logged like a panic.
	Refused func(ctx context.Context, remote string, r *http.Request, err *HandshakeError)

	// Panicked reports a panic of the application: in Serve, Open, Admit, a Receiver, or a handler behind a Server. A panic ends
	// only one connection. A panic with http.ErrAbortHandler is not reported. If Panicked is nil, the panic is logged to the
	// http.Server's ErrorLog if there is one, and to standard error otherwise.
	Panicked func(value any, stack []byte)

	// Ended reports the end of a connection of an Endpoint.
	Ended func(remote string, err *CloseError)
}

var (
	errServes     = errors.New("websocket: exactly one of Endpoint.Serve and Endpoint.Open must be set, or an Admission must set one")
	errExtensions = errors.New("websocket: Admission.Extensions is set without Tunnel")
	errChecks     = errors.New("websocket: Endpoint.Accept.Check is set: use Admit")
	errHalves     = errors.New("websocket: HalfClose is set: with Open, no caller closes the other direction")
	errBlocks     = errors.New("websocket: the write queue blocks (QueueBlock): with Open, senders must not wait")
)

// fault returns the refusal for a configuration error in the Endpoint's fields.
func fault(err error, hint string) *opening.Refusal {
	return opening.Faulty(handshake.StageStatus, err, hint, "")
}

var errGoingAway = &Reject{Status: http.StatusServiceUnavailable, Reason: "The server is shutting down; try again."}

// service describes how one client of an Endpoint is served.
type service struct {
	rules   opening.Rules
	terms   opening.Terms
	conn    *ConnOptions
	header  http.Header // from the Admission
	serve   func(*Conn)
	open    func(Sender) Receiver
	tunnel  func(net.Conn, []byte)
	ownOpen bool // whether open is from the Admission
}

// decide reports whether a request is admitted, as a nil or non-nil Refusal. request returns the request in the form that Admit takes, and is called only if
// Admit is set.
func (e *Endpoint) decide(x *service, o *handshake.Opening, request func() (*http.Request, error), t *reporter) *opening.Refusal {
	*x = service{rules: e.Accept.rules(), conn: &e.Accept.Conn, serve: e.Serve, open: e.Open}
	var subprotocol, extensions string
	ask := func() *opening.Refusal {
		if e.Accept.Check != nil {
			return fault(errChecks, handshake.HintServerAdmit)
		}
		if e.Admit == nil {
			return x.check()
		}
		r, err := request()
		if err != nil { // the application is not called for a request that net/http would not accept
			return opening.Unparsable(err)
		}
		a, err := e.admit(r, t)
		if err != nil {
			return denied(err)
		}
		if a == nil {
			return x.check()
		}
		subprotocol, extensions = a.Subprotocol, a.Extensions
		x.apply(a)
		if extensions != "" && x.tunnel == nil {
			return fault(errExtensions, "leave Admission.Extensions empty: the connection negotiates its own extensions")
		}
		if refused := x.check(); refused != nil || a.Options == nil {
			return refused
		}
		return x.rules.Check() // checks the Admission's options, too
	}
	terms, refusal := x.rules.Admit(o, ask)
	if refusal == nil && subprotocol != "" {
		refusal = terms.Agree(o, subprotocol)
	}
	if refusal == nil && x.tunnel != nil {
		refusal = terms.Pass(extensions)
	}
	x.terms = terms
	return refusal
}

// admit calls Admit, and reports a panic in it.
func (e *Endpoint) admit(r *http.Request, t *reporter) (a *Admission, err error) {
	defer func() {
		if v := recover(); v != nil {
			if isAbort(v) {
				panic(v)
			}
			t.panicked(v)
			err = &Reject{Status: http.StatusInternalServerError}
		}
	}()
	return e.Admit(r)
}

func (x *service) apply(a *Admission) {
	if a.Options != nil {
		x.conn = a.Options
		x.rules.Deflate = a.Options.deflate()
	}
	if a.Serve != nil || a.Open != nil || a.Tunnel != nil {
		x.serve, x.open, x.tunnel = a.Serve, a.Open, a.Tunnel
	}
	x.ownOpen = a.Open != nil
	x.header = a.Header
}

// check returns an error if the application's settings for serving a client are invalid.
func (x *service) check() *opening.Refusal {
	ways := 0
	for _, set := range [...]bool{x.serve != nil, x.open != nil, x.tunnel != nil} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return fault(errServes, "set one of Serve and Open")
	}
	if x.open != nil && x.conn.QueueFull == QueueBlock {
		return fault(errBlocks, "choose another policy for QueueFull")
	}
	if x.open != nil && x.conn.HalfClose {
		return fault(errHalves, "unset HalfClose, or set Serve")
	}
	if err := handshake.CheckFields(x.header); err != nil {
		return fault(err, "correct Admission.Header")
	}
	return nil
}

// ServeHTTP opens a WebSocket connection and returns; the connection is served on another goroutine. A rejected client gets a
// reply.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := &reporter{endpoint: e, server: serverOf(r.Context())}
	t.refused(r.Context(), r.RemoteAddr, r, e.accept(w, r, t))
}

func (e *Endpoint) accept(w http.ResponseWriter, r *http.Request, t *reporter) *HandshakeError {
	if !e.roster.enter() {
		return refuse(w, r, denied(errGoingAway))
	}
	defer e.roster.leave()
	var x service
	o := handshake.OpeningOf(r)
	if refused := e.decide(&x, &o, func() (*http.Request, error) { return r, nil }, t); refused != nil {
		return refuse(w, r, refused)
	}
	n, fail := takeOver(w, r, &o, &x.terms, e.Accept.Header, x.header)
	if fail != nil {
		return fail
	}
	if x.open != nil && t.serveOnLoop(unwrapReplayed(n.nc), &x, n.early, n.answer) {
		return nil
	}
	if fail := n.send(); fail != nil {
		return fail
	}
	if x.tunnel != nil {
		t.serveTunnel(x.tunnel, n.nc, n.early)
		return nil
	}
	s := &session{reporter: *t, serve: x.serve, open: x.open}
	s.hs = Handshake{Subprotocol: x.terms.Subprotocol, Extensions: x.terms.Extensions(), RemoteAddr: r.RemoteAddr, TLS: r.TLS}
	s.hs.fromRequest(r)
	s.start(n.nc, &x, n.early)
	return nil
}

// Shutdown closes every connection with CodeGoingAway, concurrently, and waits until their Serve functions and Receivers have
// returned. From then on the Endpoint responds with 503. If ctx ends first, the remaining connections are cut, and Shutdown returns
// ctx's error.
func (e *Endpoint) Shutdown(ctx context.Context) error {
	err := e.roster.shutdown(ctx, func() error {
		e.eachEventConn(func(c Sender) { c.Shut(CodeGoingAway, "") }) //nolint:errcheck // Shut fails only for an invalid code
		return nil
	})
	if err != nil {
		e.Close() //nolint:errcheck // Close always returns nil
	}
	e.loops.stop(err == nil)
	return err
}

// Close cuts all connections immediately and does not wait. It returns nil.
func (e *Endpoint) Close() error {
	e.roster.cut()
	e.eachEventConn(func(c Sender) { c.CloseNow() }) //nolint:errcheck // CloseNow always returns nil
	e.loops.stop(false)
	return nil
}
