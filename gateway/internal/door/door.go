// Package door is where connections come in: it reads the header of the PROXY protocol, does the TLS handshake, knows whose
// connection it is, and bounds how many may wait there.
package door

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/gateway/internal/clientaddr"
	"github.com/handfast/handfast/gateway/internal/proxyproto"
)

// Policy is how a listener treats connections. It is not changed once it is in use.
type Policy struct {
	TLS     *tls.Config    // nil: no TLS
	Proxies []netip.Prefix // a connection from them begins with a PROXY header
	Timeout time.Duration  // bounds the PROXY header and the TLS handshake, together
	Owner   any            // whose policy it is; not used here

	// Admit is asked before anything is read from a client; false cuts it. nil: everyone is let in.
	Admit func(netip.Addr) bool

	// Failed is told why a connection ended before its first request, by the stage: "proxy", "tls", "request". nil: nobody
	// is told.
	Failed func(p *Peer, stage string, err error)
}

// Peer is the other end of a connection.
type Peer struct {
	Addr   netip.Addr // the client's, as the PROXY header names it where there is one
	Port   uint16
	Via    netip.Addr // of the balancer that sent the PROXY header; the zero Addr without one
	Policy *Policy    // of the listener when the connection came

	door  *Door
	raw   net.Conn
	since time.Time

	began  atomic.Bool // a request has begun to come
	served atomic.Bool // and was whole

	// What Waiting's lock guards.
	place *list.Element
	group *group
	gone  bool // it was cut
	left  bool // it was closed or taken over: it waits no more
}

// Door is a listener whose connections have passed the TLS handshake. They are *tls.Conn with TLS, and what the listener
// below yields without.
type Door struct {
	inner   net.Listener
	policy  atomic.Pointer[Policy]
	waiting *Waiting
	peers   *Peers
	out     chan net.Conn
	failed  chan error
	done    chan struct{}
	once    sync.Once
	opening sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{} // in the PROXY header or the TLS handshake
}

// Peers finds the Peer of a connection that came through one of several doors, until it is closed or taken over.
type Peers struct {
	mu     sync.Mutex
	m      map[net.Conn]*Peer
	byAddr map[string]*Peer // by the address that the system names
}

// From returns the Peer of the connection from an address as the system names it, nil when there is none.
func (s *Peers) From(remote string) *Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byAddr[remote]
}

// Of returns the Peer of nc, nil when there is none.
func (s *Peers) Of(nc net.Conn) *Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[nc]
}

// Len returns how many there are.
func (s *Peers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

func (s *Peers) put(nc net.Conn, p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m, s.byAddr = map[net.Conn]*Peer{}, map[string]*Peer{}
	}
	s.m[nc], s.byAddr[nc.RemoteAddr().String()] = p, p
}

func (s *Peers) take(nc net.Conn) *Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.m[nc]
	delete(s.m, nc)
	if at := nc.RemoteAddr().String(); s.byAddr[at] == p {
		delete(s.byAddr, at)
	}
	return p
}

// New makes a Door of l, and takes connections from there at once. waiting and peers are shared by all doors of a server.
func New(l net.Listener, policy *Policy, waiting *Waiting, peers *Peers) *Door {
	d := &Door{inner: l, waiting: waiting, peers: peers, out: make(chan net.Conn), failed: make(chan error, 1),
		done: make(chan struct{}), open: map[net.Conn]struct{}{}}
	d.policy.Store(policy)
	d.opening.Go(d.accept)
	return d
}

// SetPolicy changes how connections are treated that come from now on.
func (d *Door) SetPolicy(p *Policy) { d.policy.Store(p) }

// Policy returns how they are treated.
func (d *Door) Policy() *Policy { return d.policy.Load() }

// Addr returns the address that is listened on.
func (d *Door) Addr() net.Addr { return d.inner.Addr() }

// Accept returns the next connection that came through.
func (d *Door) Accept() (net.Conn, error) {
	select {
	case nc := <-d.out:
		return nc, nil
	case err := <-d.failed:
		return nil, err
	case <-d.done:
		return nil, net.ErrClosed
	}
}

// Close stops listening, and cuts what is in its handshake. It waits for nothing.
func (d *Door) Close() error {
	d.once.Do(func() {
		close(d.done)
		d.inner.Close()
		d.mu.Lock()
		defer d.mu.Unlock()
		for nc := range d.open {
			nc.Close()
		}
	})
	return nil
}

// Wait waits until nothing of d is running after a Close.
func (d *Door) Wait() { d.opening.Wait() }

// accept takes connections from the listener until it is closed.
func (d *Door) accept() {
	var pause time.Duration
	for {
		nc, err := d.inner.Accept()
		if err == nil {
			pause = 0
			d.admit(nc)
			continue
		}
		// Out of descriptors, most often: it passes, when connections end.
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Temporary() { //nolint:staticcheck // deprecated, and yet what a listener tells
			select {
			case d.failed <- err:
			default:
			}
			return
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-d.done:
			return
		}
	}
}

// admit decides what a new connection has to go through.
func (d *Door) admit(nc net.Conn) {
	p := &Peer{Policy: d.policy.Load(), door: d, raw: nc, since: time.Now()}
	p.from(nc.RemoteAddr())
	proxied := clientaddr.Trusted(p.Policy.Proxies, p.Addr)
	if !proxied && p.Policy.Admit != nil && !p.Policy.Admit(p.Addr) {
		nc.Close()
		return
	}
	if !proxied && p.Policy.TLS == nil {
		d.waiting.add(p)
		d.hand(nc, p)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.done:
		nc.Close()
		return
	default:
	}
	d.open[nc] = struct{}{}
	d.opening.Go(func() { d.pass(p, proxied) })
}

// pass reads the PROXY header and does the TLS handshake.
func (d *Door) pass(p *Peer, proxied bool) {
	nc, err := d.shake(p, proxied)
	d.mu.Lock()
	delete(d.open, p.raw)
	d.mu.Unlock()
	if err != nil || nc == nil {
		d.waiting.remove(p)
		p.raw.Close()
		return
	}
	d.hand(nc, p)
}

// acmeALPN is what a connection for an ACME challenge negotiates: the handshake is all of it (RFC 8737 §3).
const acmeALPN = "acme-tls/1"

// shake returns the connection behind its handshakes, or nil when it ends with them.
func (d *Door) shake(p *Peer, proxied bool) (net.Conn, error) {
	if err := p.raw.SetDeadline(time.Now().Add(p.Policy.Timeout)); err != nil {
		return nil, err
	}
	if proxied {
		if err := d.readProxy(p); err != nil {
			p.fail("proxy", err)
			return nil, err
		}
		if p.Policy.Admit != nil && !p.Policy.Admit(p.Addr) {
			return nil, nil
		}
	}
	d.waiting.add(p)
	nc := p.raw
	if p.Policy.TLS != nil {
		t := tls.Server(p.raw, p.Policy.TLS)
		if err := t.HandshakeContext(context.Background()); err != nil { // the deadline bounds it
			tellPlain(err)
			p.fail("tls", err)
			return nil, err
		}
		if t.ConnectionState().NegotiatedProtocol == acmeALPN {
			return nil, nil
		}
		nc = t
	}
	return nc, p.raw.SetDeadline(time.Time{})
}

// readProxy replaces the peer's address by the one in the PROXY header.
func (d *Door) readProxy(p *Peer) error {
	h, err := proxyproto.Read(p.raw)
	if err != nil {
		return err
	}
	if h.Source.IsValid() {
		p.Via, p.Addr, p.Port = p.Addr, h.Source.Addr(), h.Source.Port()
	}
	return nil
}

// fail tells why a connection ended, unless it sent nothing, was cut, or the door is closed.
func (p *Peer) fail(stage string, err error) {
	if p.Policy.Failed != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		p.Policy.Failed(p, stage, err)
	}
}

// tellPlain tells a client that spoke HTTP where TLS is wanted so, in HTTP.
func tellPlain(err error) {
	re, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || re.Conn == nil {
		return
	}
	switch string(re.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		_, _ = io.WriteString(re.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"Connection: close\r\n\r\n400 Bad Request\n\nThis port speaks TLS.\nNext step: use https:// or wss://\n") // a courtesy
	}
}

// from takes the address that the system names.
func (p *Peer) from(addr net.Addr) {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		p.Addr, p.Port = ap.Addr().Unmap().WithZone(""), ap.Port()
	}
}

// hand gives a connection to Accept.
func (d *Door) hand(nc net.Conn, p *Peer) {
	d.peers.put(nc, p)
	select {
	case d.out <- nc:
	case <-d.done:
		d.peers.take(nc)
		d.waiting.remove(p)
		nc.Close()
	}
}

// ErrHead says that net/http has refused a request, and has told nobody but the client why.
var ErrHead = errors.New("the head of the request was malformed or too large, or did not come in time")

// Served notes that a request has come through.
func (p *Peer) Served() { p.served.Store(true) }

// Linger puts p among those that wait again, until its next request or its end: its request is for a page, or was
// refused, and what else it sends, such as a body that never ends, has no worth.
func (p *Peer) Linger() {
	p.door.waiting.remove(p)
	p.since = time.Now() // nobody else looks at it meanwhile
	p.door.waiting.add(p)
}

// ConnState is for http.Server: it tells when a connection waits, and when it has a request or is gone.
func (s *Peers) ConnState(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		if p := s.Of(nc); p != nil {
			p.began.Store(true)
			p.door.waiting.remove(p)
		}
	case http.StateIdle:
		if p := s.Of(nc); p != nil {
			p.Linger()
		}
	case http.StateHijacked, http.StateClosed:
		p := s.take(nc)
		if p != nil && p.door.waiting.leave(p) && p.began.Load() && !p.served.Load() {
			p.fail("request", ErrHead)
		}
	}
}
