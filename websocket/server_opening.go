package websocket

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/internal/transport"
)

// arrival is a connection in its handshake: what has come of its request, and what was made of it. It comes from a pool,
// and ends with the handshake.
type arrival struct {
	serve *Server
	pages *handover
	nc    net.Conn
	tls   bool
	head  opening.Head
	buf   []byte // the request, and behind it what the client has sent early
	text  string // the request's head once it is whole
	req   *http.Request
	sent  bool // the 101 is sent, or about to be; guarded by serve.mu
	ring  links[*arrival]
	start func()        // run, bound once
	room  [4 << 10]byte // where buf lies, but for long requests
}

func (o *arrival) links() *links[*arrival] { return &o.ring }

var openings = sync.Pool{New: func() any { return new(arrival) }}

// open begins the handshake on nc, in a goroutine of its own. A slot is held.
func (s *Server) open(nc net.Conn, pages *handover) {
	o := openings.Get().(*arrival)
	if o.start == nil {
		o.start = o.run
	}
	o.serve, o.pages, o.nc = s, pages, nc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		nc.Close()
		<-s.slots
		return
	}
	s.openings.add(o)
	s.active++
	select {
	case pages.work <- o:
	default:
		go o.start()
	}
}

// run is a goroutine for handshakes: o's, and then others', as long as there are not too many that wait for one. It is
// spared the growth of a new stack each time.
func (o *arrival) run() {
	for o != nil {
		pages := o.pages
		o.only()
		o = pages.next()
	}
}

// only goes through one handshake, and lets o go.
func (o *arrival) only() {
	s := o.serve
	e := o.handshake()
	s.mu.Lock()
	s.openings.remove(o)
	switch {
	case e == nil:
		s.done()
	case s.closing:
		// It was let in behind the back of Shutdown, which waits for this goroutine.
		s.mu.Unlock()
		e.conn.Close(CodeGoingAway, "") //nolint:errcheck // nobody is left to be told
		s.mu.Lock()
		s.done()
	default:
		s.sessions.add(e)
		go e.run() // on a fresh stack: this one has grown
	}
	s.mu.Unlock()
	<-s.slots
	o.head.Reset(opening.Limits{})
	o.serve, o.pages, o.nc, o.tls, o.buf, o.text, o.req, o.sent = nil, nil, nil, false, nil, "", nil, false
	openings.Put(o)
}

// abort ends the handshake from outside, unless the client is as good as let in: then it gets a close frame instead. mu
// is held.
func (o *arrival) abort() {
	if o.sent {
		return
	}
	// TLS would wait to say goodbye.
	if t, ok := o.nc.(*tls.Conn); ok {
		t.NetConn().Close()
		return
	}
	o.nc.Close()
}

// handshake returns the client that was let in, and nil when none was: then the connection is closed, or somebody else's.
func (o *arrival) handshake() *session {
	if err := o.nc.SetDeadline(time.Now().Add(o.serve.headTimeout())); err != nil {
		o.nc.Close()
		return nil
	}
	if t, ok := o.nc.(*tls.Conn); ok && !o.secure(t) {
		return nil
	}
	_, o.tls = o.nc.(interface{ ConnectionState() tls.ConnectionState })
	verdict, fail := o.read()
	ours := verdict == opening.Upgrade && o.atPath()
	switch {
	case ours:
		return o.upgrade()
	case fail != nil:
		o.refuse(fail)
	case verdict == opening.More: // nothing has come
		o.nc.Close()
	case o.serve.HTTP != nil:
		o.handOver()
	default:
		o.refuse(o.noHandshake())
	}
	return nil
}

// secure goes through the handshake of TLS, and reports whether ours follows.
//
//go:noinline
func (o *arrival) secure(t *tls.Conn) bool {
	if err := t.Handshake(); err != nil {
		o.refuseTLS(err)
		return false
	}
	if p := t.ConnectionState().NegotiatedProtocol; p != "" && p != "http/1.1" {
		o.handOver()
		return false
	}
	return true
}

// atPath reports whether WebSockets are opened at the path of the request.
func (o *arrival) atPath() bool {
	paths := o.serve.Paths
	return len(paths) == 0 || slices.Contains(paths, pathOf(o.head.Target(opening.View(o.buf))))
}

// pathOf returns the path of a target, as it is written.
func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	if strings.HasPrefix(path, "/") {
		return path
	}
	if _, rest, ok := strings.Cut(path, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
	}
	return "/"
}

// noHandshake says why a request is not let in that is nobody else's.
func (o *arrival) noHandshake() *opening.Refusal {
	v := o.head.Opening(opening.View(o.buf)).Check()
	if v == nil {
		v = &handshake.Violation{
			Stage: handshake.StageRequest, Section: "RFC 9110 §15.5.5", Status: http.StatusNotFound,
			Detail: "there is no WebSocket at this path", Hint: "check the path",
		}
	}
	return opening.Violated(v)
}

// read reads until the request's head is there. No error with More means that there was no request.
func (o *arrival) read() (opening.Verdict, *opening.Refusal) {
	limits := opening.Limits{Bytes: o.serve.MaxHead}
	o.head.Reset(limits)
	o.buf = o.room[:0]
	for {
		if len(o.buf) == cap(o.buf) {
			o.buf = slices.Grow(o.buf, cap(o.buf))
		}
		n, err := o.nc.Read(o.buf[len(o.buf):cap(o.buf)])
		o.buf = o.buf[:len(o.buf)+n]
		verdict, v := o.head.Parse(o.buf)
		switch {
		case v != nil:
			return verdict, opening.Violated(v)
		case verdict != opening.More:
			return verdict, nil
		case err == nil:
		case len(o.buf) == 0:
			return opening.More, nil
		case transport.IsTimeout(err): // RFC 9110 §15.5.9
			return opening.More, opening.Violated(slow)
		default:
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return opening.More, &opening.Refusal{Stage: handshake.StageRequest, Err: err}
		}
	}
}

var slow = &handshake.Violation{
	Stage: handshake.StageRequest, Section: "RFC 9110 §15.5.9", Status: http.StatusRequestTimeout,
	Detail: "the head of the request did not arrive in time",
}

// upgrade judges a request for a WebSocket, and answers it.
func (o *arrival) upgrade() *session {
	opts := &o.serve.Accept
	// What is kept of the request is this copy: all strings from here on are pieces of it.
	o.text = string(o.buf[:o.head.Len()])
	in := o.head.Opening(o.text)
	in.TLS = o.tls
	if len(opts.TrustedProxies) > 0 {
		in.RemoteAddr = o.nc.RemoteAddr().String()
	}
	rules := opts.rules()
	agreed, fail := rules.Admit(in, asker(opts.Check, o.request))
	if fail != nil {
		o.refuse(fail)
		return nil
	}
	e := &session{serve: o.serve}
	e.hs = Handshake{Proto: "HTTP/1.1", Subprotocol: agreed.Subprotocol, Extensions: agreed.Extensions()}
	e.late.head, e.late.nc = o.text, o.nc
	e.hs.late = &e.late
	if o.req != nil {
		e.hs.fromRequest(o.req)
		e.hs.RemoteAddr, e.hs.TLS = o.req.RemoteAddr, o.req.TLS
		e.hs.late, e.late.head, e.late.nc = nil, "", nil
	}
	var early []byte
	if rest := o.buf[o.head.Len():]; len(rest) > 0 {
		early = bytes.Clone(rest)
	}
	if err := o.send(agreed.AppendAnswer(o.buf[:0], in.Key[0], nil, opts.Header)); err != nil {
		o.nc.Close()
		o.serve.tell(o.nc.RemoteAddr().String(), &HandshakeError{Stage: StageStatus, Err: err})
		return nil
	}
	e.conn = &e.own
	e.conn.init(o.nc, RoleServer, &opts.Conn, &e.hs, early)
	if agreed.Compressed {
		e.conn.compress(agreed.Deflate, opts.Conn.Compression)
	}
	return e
}

// send sends the 101, and lifts the bound of the handshake.
func (o *arrival) send(head []byte) error {
	o.serve.mu.Lock()
	o.sent = true
	closing := o.serve.closing
	o.serve.mu.Unlock()
	if closing {
		return http.ErrServerClosed
	}
	if o.req != nil { // Check may have taken its time
		if err := o.nc.SetDeadline(time.Now().Add(o.serve.headTimeout())); err != nil {
			return err
		}
	}
	if _, err := o.nc.Write(head); err != nil {
		return err
	}
	return o.nc.SetDeadline(time.Time{})
}

// request builds net/http's request, for Check.
func (o *arrival) request() (*http.Request, error) {
	r, err := opening.Request(o.text)
	if err != nil {
		return nil, err
	}
	r = r.WithContext(o.serve.base)
	r.RemoteAddr, r.TLS = o.nc.RemoteAddr().String(), tlsState(o.nc)
	o.req = r
	return r, nil
}
