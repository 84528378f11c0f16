package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/handfast/handfast/balance"
)

// server contains what is needed to reach a server for clients and for health checks.
type server struct {
	set    *Settings // settings of the Balancer when the server was made
	dialer *Dialer
	pages  *http.Transport // for ordinary HTTP requests
	checks *http.Transport // for checks by HTTP; each uses a new connection
	stop   context.CancelFunc
}

const (
	maxHead   = 64 << 10         // bytes of the header of a page
	idlePages = 32               // idle connections for pages to one server
	idleFor   = 30 * time.Second // shorter than the usual timeout of servers
)

// newServers makes the servers of a list, without starting checks.
func newServers(list []balance.Spec, s *Settings) (map[string]*server, error) {
	made := map[string]*server{}
	for _, spec := range list {
		d, err := NewDialer(spec.ID, s.Dial)
		if err != nil {
			return nil, err
		}
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			r, _ := ctx.Value(requestKey{}).(*Request)
			return d.Connect(ctx, r)
		}
		made[spec.ID] = &server{
			set: s, dialer: d,
			pages: &http.Transport{
				DisableKeepAlives:   s.Dial.ProxyProtocol != 0, // with the PROXY protocol, a connection belongs to one client
				MaxIdleConnsPerHost: idlePages, IdleConnTimeout: idleFor, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
				ResponseHeaderTimeout: time.Minute, DialContext: dial,
			},
			checks: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHead, DialContext: dial},
		}
	}
	return made, nil
}

// requestKey is the context key of the client's *Request, for pages.
type requestKey struct{}

// serve sets the servers in use, and starts and stops their checks. made contains at least the new servers. The caller holds mu.
func (b *Balancer) serve(list []balance.Spec, made map[string]*server) {
	want := map[string]bool{}
	for _, spec := range list {
		want[spec.ID] = true
		if b.servers[spec.ID] != nil {
			continue
		}
		n := made[spec.ID]
		ctx, cancel := context.WithCancel(b.ctx)
		n.stop = cancel
		b.servers[spec.ID] = n
		if h := b.set.Load().Health; h.Check != CheckOff {
			b.wg.Go(func() { b.watch(ctx, spec.ID, n, h) })
		}
	}
	for id, n := range b.servers {
		if !want[id] {
			n.stop()
			n.pages.CloseIdleConnections()
			n.checks.CloseIdleConnections()
			delete(b.servers, id)
		}
	}
}

// server returns the server with an ID. The error is [ErrClosed], or a [*Failure] if the server was removed after it was chosen.
func (b *Balancer) server(id string) (*server, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	if n := b.servers[id]; n != nil {
		return n, nil
	}
	return nil, &Failure{Upstream: id, Stage: StageConnect, Err: errRemoved}
}

// errReconfigured reports that the settings have changed since a handshake, or a request, began. The handshake or request then
// begins again, so that it uses either the old settings or the new ones, and never parts of both.
var errReconfigured = errors.New("the settings have changed")

// serverFor is server for a handshake or a request with the settings s. The error may also be errReconfigured.
func (b *Balancer) serverFor(s *Settings, id string) (*server, error) {
	n, err := b.server(id)
	if err == nil && n.set != s {
		return nil, errReconfigured
	}
	return n, err
}

// identified returns r with the fields that Identify sets.
func (s *Settings) identified(r *Request) *Request {
	if s.Identify == nil || r.Principal == nil {
		return r
	}
	c := *r
	c.User, c.Identity, c.Sign = "", nil, nil
	s.Identify(&c)
	return &c
}

// Connect opens a connection to the upstream for a client, with TLS if the upstream uses it and with the PROXY protocol header if
// one is configured. The error is a [*Failure].
func (d *Dialer) Connect(ctx context.Context, r *Request) (net.Conn, error) {
	if r == nil {
		r = &Request{}
	}
	nc, err := d.connect(ctx, r)
	if err != nil || d.tls != nil {
		return nc, err
	}
	if head := d.proxyHeader(nil, r); len(head) > 0 {
		if _, err := nc.Write(head); err != nil { // the send buffer of a new connection has room for it
			nc.Close()
			return nil, d.failure(ctx, StageConnect, err)
		}
	}
	return nc, nil
}
