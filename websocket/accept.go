package websocket

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/protocol"
)

// acceptTimeout bounds how long a client may take to receive the 101 response.
const acceptTimeout = 10 * time.Second

// AcceptOptions are the options of Accept: which clients are admitted, and the settings of their connections. The zero value is the
// safe default. Accept does not modify its options, so one value may serve any number of concurrent calls.
type AcceptOptions struct {
	// Origins are the web origins whose pages may connect in addition to those of the same origin: "https://example.com",
	// "https://example.com:8443", without a path, a trailing slash or a wildcard. "null" admits all sandboxed and local pages.
	// A handshake whose origin check reaches an invalid entry fails with 500.
	//
	// nil means the same origin only: the Origin header must match the scheme, host and port that the request was sent to. A request
	// without the header is admitted, since it is not from a browser.
	Origins []string

	// AnyOrigin disables the origin check. Any web page that a user opens may then connect with the user's cookies and act as the
	// user. Set it only if the service trusts neither cookies nor client addresses.
	AnyOrigin bool

	// TrustedProxies are the addresses of proxies in front of this server. For requests from these proxies only, the scheme and the
	// host that the browser used are taken from the Forwarded header (RFC 7239), or else X-Forwarded-Proto and
	// X-Forwarded-Host. The zero Prefix means proxies that connect over a Unix socket, and so have no address. nil means that these
	// headers are ignored; behind a proxy that terminates TLS, same-origin pages then fail the origin check.
	TrustedProxies []netip.Prefix

	// Subprotocols are the supported subprotocols, the preferred one first. If the client offers none of them, the connection
	// opens without one: see [Handshake.Subprotocol].
	Subprotocols []string

	// Check runs after the protocol and origin checks and before the 101 response. A non-nil error rejects the handshake: a
	// [*Reject] sets the reply, any other error is answered with 403 and its text is not sent. A nil Check admits every client.
	// Check must not write the reply itself, nor read the request's body.
	Check func(*http.Request) error

	// Header is added to the 101 response, as are the fields that are set in the ResponseWriter's Header. A field that belongs to
	// the handshake itself, or that contains a line end, fails the handshake with 500.
	Header http.Header

	// Conn holds the options of the open connection.
	Conn ConnOptions
}

// Accept performs the server's side of an opening handshake and takes over the connection of the request. Messages that the client
// has already sent are not lost.
//
// If the handshake fails, Accept writes a reply with the reason; the error is a [*HandshakeError], which wraps the [*Reject] of
// Check. w must not be used after Accept in either case.
//
// The request must use HTTP/1.1 or higher, on a server that supports hijacking, as net/http does. The read and write timeouts
// of that server no longer apply. opts may be nil.
func Accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions) (*Conn, error) {
	if opts == nil {
		opts = &defaultAccept
	}
	a := admissions.Get().(*admission)
	defer a.release()
	a.load(r, opts)
	if refused := a.admit(r, opts); refused != nil {
		return nil, refuse(w, r, refused)
	}
	n, fail := takeOver(w, r, &a.opening, &a.terms, opts.Header, nil)
	if fail == nil {
		fail = n.send()
	}
	if fail != nil {
		return nil, fail
	}
	hs := &Handshake{
		Proto:       r.Proto,
		URL:         r.URL,
		Header:      r.Header,
		Subprotocol: a.terms.Subprotocol,
		Extensions:  a.terms.Extensions(),
		RemoteAddr:  r.RemoteAddr,
		TLS:         r.TLS,
	}
	c := newConn(n.nc, protocol.RoleServer, &opts.Conn, hs, deflateIf(a.terms.Compressed, &a.terms.Deflate), n.early)
	if s := serverOf(r.Context()); s != nil {
		s.register(c)
	}
	return c, nil
}

var defaultAccept AcceptOptions

// admission is the part of a request that Accept needs. It is allocated from a pool and not on the stack: otherwise, the stack of
// net/http's goroutine would have to grow from 4 to 8 KiB in Accept, once for each connection.
type admission struct {
	opening handshake.Opening
	rules   opening.Rules
	terms   opening.Terms
}

var admissions = sync.Pool{New: func() any { return new(admission) }}

// load and admit are not inlined, because their temporary values would enlarge Accept's stack frame.
//
//go:noinline
func (a *admission) load(r *http.Request, opts *AcceptOptions) {
	a.opening = handshake.OpeningOf(r)
	a.rules = opts.rules()
}

//go:noinline
func (a *admission) admit(r *http.Request, opts *AcceptOptions) (refused *opening.Refusal) {
	a.terms, refused = a.rules.Admit(&a.opening, checkFunc(opts.Check, func() (*http.Request, error) { return r, nil }))
	return refused
}

func (a *admission) release() {
	*a = admission{}
	admissions.Put(a)
}

// rules returns the rules that o sets for opening handshakes.
func (o *AcceptOptions) rules() opening.Rules {
	return opening.Rules{
		Origin:       handshake.OriginPolicy{Any: o.AnyOrigin, Allowed: o.Origins, Proxies: o.TrustedProxies},
		Subprotocols: o.Subprotocols,
		Header:       o.Header,
		Deflate:      o.Conn.deflate(),
	}
}

func (o *ConnOptions) deflate() opening.Deflate {
	z := o.Compression
	if z == nil {
		return opening.Deflate{}
	}
	return opening.Deflate{
		On: true, ServerNoTakeover: z.ServerNoTakeover, ClientNoTakeover: z.ClientNoTakeover,
		ServerWindowBits: z.ServerWindowBits, ClientWindowBits: z.ClientWindowBits,
	}
}

// checkFunc returns the function that asks the application to decide on a request, or nil if check is nil. request returns the request
// in the form that check takes.
func checkFunc(check func(*http.Request) error, request func() (*http.Request, error)) func() *opening.Refusal {
	if check == nil {
		return nil
	}
	return func() *opening.Refusal {
		r, err := request()
		if err != nil { // the application is not called for a request that net/http would not accept
			return opening.Unparsable(err)
		}
		return denied(check(r))
	}
}

// denied converts an error of the application to the refusal of the handshake. It returns nil if err is nil.
func denied(err error) *opening.Refusal {
	if err == nil {
		return nil
	}
	if reject, ok := errors.AsType[*Reject](err); ok {
		return opening.Rejected(err, reject.Status, reject.Header, reject.Reason)
	}
	return opening.Denied(err)
}

// middlewareFields returns the fields that middleware has set for the response, without those that describe its content or the connection:
// a 101 response has no content, and the handshake sets the connection's fields. It is not inlined, so that takeOver has a small
// frame.
//
//go:noinline
func middlewareFields(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	out := make(http.Header, len(h))
	for name, values := range h {
		one := http.Header{name: values}
		if !strings.HasPrefix(name, "Content-") && name != "Keep-Alive" && handshake.CheckFields(one) == nil {
			out[name] = values
		}
	}
	return out
}

// hijacked is a connection that was taken over from the server, with the 101 response to send to its client.
type hijacked struct {
	nc     net.Conn
	answer []byte
	early  []byte // a copy of the bytes that the client has sent after its request
}

// takeOver takes the connection over from the server. The 101 response contains the fields of both headers. On failure, takeOver
// has already written the error reply.
func takeOver(w http.ResponseWriter, r *http.Request, o *handshake.Opening, t *opening.Terms, a, b http.Header) (n hijacked, fail *HandshakeError) {
	if b != nil {
		a = mergeHeaders(a, b)
	}
	nc, buf, early, err := hijack(w)
	if err != nil {
		return n, refuse(w, r, opening.Faulty(handshake.StageStatus, err,
			"serve this path over HTTP/1.1, without middleware whose ResponseWriter has neither Hijack nor Unwrap",
			"Middleware in front of this handler prevents the server from taking over the connection (no Hijack, no Unwrap)."))
	}
	return hijacked{nc, t.AppendAnswer(buf, o, middlewareFields(w.Header()), a), early}, nil
}

// send sends the 101 response.
func (n *hijacked) send() *HandshakeError {
	// The server's timeouts for the request would also apply to the open connection, so they are replaced by a bound on the time in
	// which the client must receive the response.
	err := n.nc.SetDeadline(time.Now().Add(acceptTimeout))
	if err == nil {
		_, err = n.nc.Write(n.answer)
	}
	if err == nil {
		err = n.nc.SetDeadline(time.Time{})
	}
	if err != nil {
		n.nc.Close()
		return &HandshakeError{Stage: handshake.StageStatus, Err: err}
	}
	n.nc = unwrapReplayed(n.nc)
	return nil
}

// mergeHeaders returns the fields of both a and b. It is not inlined, so that takeOver has a small frame.
//
//go:noinline
func mergeHeaders(a, b http.Header) http.Header {
	both := make(http.Header, len(a)+len(b))
	for _, h := range []http.Header{a, b} {
		for name, values := range h {
			both[name] = append(both[name], values...)
		}
	}
	return both
}

// hijack takes the connection over and resets its deadlines. It returns a buffer for the response, and a copy of the bytes that the
// server has already read.
func hijack(w http.ResponseWriter) (nc net.Conn, buf, early []byte, err error) {
	for {
		switch t := w.(type) {
		case *responder:
			nc, early, err = t.takeOver(false)
			return nc, make([]byte, 0, 256), early, err
		case http.Hijacker:
			nc, brw, err := t.Hijack()
			if err != nil {
				return nil, nil, nil, err
			}
			if n := brw.Reader.Buffered(); n > 0 {
				early = make([]byte, n)
				_, err = brw.Read(early) // cannot block: n bytes are buffered
			}
			return nc, brw.AvailableBuffer(), early, err
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil, nil, nil, http.ErrNotSupported
		}
	}
}
