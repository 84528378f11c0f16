package gateway

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
)

// builder creates sites from configurations. It holds the objects that all sites of a server share, and is immutable.
type builder struct {
	rec      *recorder
	adm      *admission
	store    auth.Store
	targets  map[string]newTarget
	redirect http.Handler // for listeners without TLS that only redirect
}

// newSite prepares cfg for serving. It reuses unchanged parts of old, which may be nil. If it returns an error, nothing has
// changed.
func (b *builder) newSite(cfg *config.Config, old *site) (*site, error) {
	n := &site{rec: b.rec, cfg: cfg, proxies: prefixes(cfg.TrustedProxies), sockets: http.NewServeMux(), pages: http.NewServeMux()}
	var err error
	if n.methods, err = newMethods(cfg, b.store, b.rec.authFault, old); err == nil {
		if err = b.newEndpoints(n, old); err == nil {
			err = b.newListeners(n, old)
		}
	}
	if err != nil {
		n.close(old)
		return nil, err
	}
	return n, nil
}

// newEndpoints creates the endpoints and their routes.
func (b *builder) newEndpoints(n, old *site) error {
	if n.cfg.Console {
		n.mountConsole()
	}
	for i := range n.cfg.Endpoints {
		e, err := b.newEndpoint(n, old, i)
		if err != nil {
			return err
		}
		n.endpoints = append(n.endpoints, e)
		if err := n.mountPages(e); err != nil {
			return n.cfg.Problem(endpointPath(i, "target"), err.Error(), "")
		}
		for _, pattern := range e.cfg.Patterns() {
			if err := handle(n.sockets, pattern, e); err != nil {
				return n.cfg.Problem(fmt.Sprintf("endpoints[%d].path", i), err.Error(), "a path that no other endpoint uses")
			}
		}
	}
	return b.mountMethods(n)
}

// newListeners creates the listeners and opens their certificates.
func (b *builder) newListeners(n, old *site) error {
	var have []*certSource
	if old != nil {
		have = old.sources()
	}
	for i := range n.cfg.Listen {
		l := &listener{cfg: n.cfg.Listen[i], hsts: hsts(n.cfg.Listen[i]), proxies: prefixes(n.cfg.Listen[i].ProxyProtocol.From)}
		same := 0 // the number of previous listeners with this address; several may have port 0
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
		c, err := b.openCerts(l.cfg.TLS, have)
		if err != nil {
			return err
		}
		l.certs, have = c, append(have, c)
		if n.dev == nil {
			n.dev = c.dev
		}
	}
	for _, l := range n.listen {
		l.hosts = n.hostsOf(l)
	}
	sources := n.sources()
	for _, l := range n.listen {
		if l.certs != nil {
			continue
		}
		switch {
		case l.cfg.RedirectHTTPS:
			l.redirect = challenges(sources, b.redirect)
		case slices.ContainsFunc(sources, func(c *certSource) bool { return c.cfg.Mode == config.TLSACME }):
			l.redirect = challenges(sources, n)
		}
	}
	return nil
}
