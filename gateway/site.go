package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/console"
	"github.com/handfast/handfast/gateway/internal/door"
)

// site is one configuration, made ready to serve. It is not changed once it is.
type site struct {
	server    *Server
	cfg       *config.Config
	proxies   []netip.Prefix
	listen    []*listener // as cfg.Listen
	dev       *certs.Dev  // nil: no listener has a development certificate
	methods   *methods
	endpoints []*endpoint

	sockets *http.ServeMux // what opens WebSockets
	pages   *http.ServeMux // everything else
}

// listener is what a site does with requests that come on one address.
type listener struct {
	cfg      config.Listen
	key      string       // the same for the same address in another configuration
	certs    *certSource  // nil: no TLS
	redirect http.Handler // nil: requests are served
	hsts     string       // "": none
}

// newSite makes cfg ready to serve. What does not change is taken over from old, which may be nil. When there is an error
// nothing has changed.
func (s *Server) newSite(cfg *config.Config, old *site) (*site, error) {
	n := &site{server: s, cfg: cfg, proxies: prefixes(cfg.TrustedProxies), sockets: http.NewServeMux(), pages: http.NewServeMux()}
	var err error
	if n.methods, err = s.newMethods(cfg, old); err == nil {
		if err = s.newEndpoints(n, old); err == nil {
			err = s.newListeners(n, old)
		}
	}
	if err != nil {
		n.close(old)
		return nil, err
	}
	return n, nil
}

// newEndpoints makes the routes.
func (s *Server) newEndpoints(n, old *site) error {
	if n.cfg.Console {
		console.Register(n.pages)
	}
	for i := range n.cfg.Endpoints {
		e, err := s.newEndpoint(n, old, i)
		if err != nil {
			return err
		}
		n.endpoints = append(n.endpoints, e)
		if err := handle(n.sockets, e.cfg.Path, e); err != nil {
			return n.cfg.Problem(fmt.Sprintf("endpoints[%d].path", i), err.Error(), "a path that no other endpoint has")
		}
	}
	return s.mountMethods(n)
}

// handle mounts h, and returns what ServeMux would panic with.
func handle(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the path cannot be served: %v", p)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// newListeners opens the certificates.
func (s *Server) newListeners(n, old *site) error {
	var have []*certSource
	if old != nil {
		have = old.sources()
	}
	for i := range n.cfg.Listen {
		l := &listener{cfg: n.cfg.Listen[i], hsts: hsts(n.cfg.Listen[i])}
		same := 0 // several may have port 0
		for _, before := range n.listen {
			if before.cfg.Address == l.cfg.Address {
				same++
			}
		}
		l.key = fmt.Sprint(l.cfg.Address, " ", same)
		n.listen = append(n.listen, l)
		if l.cfg.TLS.Mode == config.TLSOff {
			continue
		}
		c, err := s.openCerts(l.cfg.TLS, have)
		if err != nil {
			return err
		}
		l.certs, have = c, append(have, c)
		if n.dev == nil {
			n.dev = c.dev
		}
	}
	sources := n.sources()
	for _, l := range n.listen {
		if l.certs != nil {
			continue
		}
		switch {
		case l.cfg.RedirectHTTPS:
			l.redirect = challenges(sources, http.HandlerFunc(s.redirect))
		case slices.ContainsFunc(sources, func(c *certSource) bool { return c.cfg.Mode == config.TLSACME }):
			l.redirect = challenges(sources, n)
		}
	}
	return nil
}

// sources returns what the listeners serve from, each once.
func (n *site) sources() []*certSource {
	var list []*certSource
	for _, l := range n.listen {
		if l.certs != nil && !slices.Contains(list, l.certs) {
			list = append(list, l.certs)
		}
	}
	return list
}

// startCerts lets ACME begin; the listeners take connections by now.
func (n *site) startCerts() {
	for _, c := range n.sources() {
		c.provider.Start()
	}
}

// listenerOf returns what to do with requests of p, nil when its listener is in the configuration no more.
func (n *site) listenerOf(p *door.Peer) *listener {
	if p == nil {
		return nil
	}
	l, _ := p.Policy.Owner.(*listener)
	if l == nil {
		return nil
	}
	i := slices.IndexFunc(n.listen, func(have *listener) bool { return have.key == l.key })
	if i < 0 {
		return nil
	}
	return n.listen[i]
}

// close lets go of what a site holds and next does not. next may be nil.
func (n *site) close(next *site) {
	var kept []*certSource
	if next != nil {
		kept = next.sources()
	}
	for _, c := range n.sources() {
		if !slices.Contains(kept, c) {
			c.provider.Close()
		}
	}
	if n.methods != nil {
		n.methods.close(next)
	}
}

// ServeHTTP answers a request: one that wants a WebSocket at an endpoint, any other as a page if there is one. What is
// neither gets the answer of the pages, 404 or 405.
func (n *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, endpoint := n.sockets.Handler(r)
	_, page := n.pages.Handler(r)
	switch {
	case wantsWebSocket(r):
		if endpoint == "" {
			n.server.recordMissing(r)
		}
		n.sockets.ServeHTTP(w, r)
	case page == "" && endpoint != "":
		n.sockets.ServeHTTP(w, r)
	default:
		n.pages.ServeHTTP(w, r)
	}
}
