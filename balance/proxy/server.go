package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/handfast/handfast/balance"
)

// server is how a server is reached, and the checks of it.
type server struct {
	set    *Settings // which it was made with; those of the Balancer
	dialer *Dialer
	pages  *http.Transport // for requests that are not handshakes
	checks *http.Transport // for checks by HTTP; each has a connection of its own
	stop   context.CancelFunc
}

const (
	maxHead   = 64 << 10         // of a response to a request for a page
	idlePages = 32               // connections for pages that wait for the next request, of one server
	idleFor   = 30 * time.Second // how long; less than servers do
)

// newServers returns the servers of a list, without checks.
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
				DisableKeepAlives:   s.Dial.ProxyProtocol != 0, // a connection belongs to a client then
				MaxIdleConnsPerHost: idlePages, IdleConnTimeout: idleFor, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
				ResponseHeaderTimeout: time.Minute, DialContext: dial,
			},
			checks: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHead, DialContext: dial},
		}
	}
	return made, nil
}

// requestKey is the key of the client's *Request in the context of a request for a page.
type requestKey struct{}

// serve has the servers of a list reached and checked, and no others. made has those that are new. The caller holds mu.
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

// server returns how a server is reached. The error is [ErrClosed], or a [*Failure] when the server was taken off the list since it
// was chosen.
func (b *Balancer) server(id string) (*server, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	if n := b.servers[id]; n != nil {
		return n, nil
	}
	return nil, &Failure{Upstream: id, Stage: StageConnect, Err: errGone}
}

// errReconfigured reports that the settings have changed since a handshake, or a request, has begun: it begins again, so that it goes by the
// old ones or by the new ones, and not by some of each.
var errReconfigured = errors.New("the settings have changed")

// serverFor is server for a handshake or a request that goes by s. The error may be errReconfigured as well.
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

// Connect opens a connection to the upstream for a client, with TLS where that is needed and the header of the PROXY protocol if there is
// to be one. The error is a [*Failure].
func (d *Dialer) Connect(ctx context.Context, r *Request) (net.Conn, error) {
	if r == nil {
		r = &Request{}
	}
	nc, err := d.connect(ctx, r)
	if err != nil || d.tls != nil {
		return nc, err
	}
	if head := d.proxyHeader(nil, r); len(head) > 0 {
		if _, err := nc.Write(head); err != nil { // which a new connection has room for
			nc.Close()
			return nil, d.failure(ctx, StageConnect, err)
		}
	}
	return nc, nil
}
