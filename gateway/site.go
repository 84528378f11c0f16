package gateway

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
)

// site is one configuration, made ready to serve. It is not changed once it is.
type site struct {
	rec       *recorder
	cfg       *config.Config
	proxies   []netip.Prefix
	listen    []*listener // as cfg.Listen
	dev       *certs.Dev  // nil means no listener has a development certificate
	methods   *methods
	endpoints []*endpoint

	sockets *http.ServeMux // what opens WebSockets
	pages   *http.ServeMux // everything else of the server's own
	targets []targetPages  // and of targets, in the order of the configuration
	apply   []func()       // has targets of the site before go on with other settings, once this one is in force
}

// listener is what a site does with requests that come on one address.
type listener struct {
	cfg      config.Listen
	key      string         // the same for the same address in another configuration
	certs    *certSource    // nil means no TLS
	redirect http.Handler   // nil means requests are served
	hsts     string         // "": none
	hosts    *hosts         // that requests may be for; nil: any
	from     []netip.Prefix // balancers, whose connections begin with a PROXY header
}

// tls returns the configuration of TLS, nil for none.
func (l *listener) tls() *tls.Config {
	if l.certs == nil {
		return nil
	}
	return l.certs.config
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
func (n *site) listenerOf(p *peer) *listener {
	if p == nil {
		return nil
	}
	i := slices.IndexFunc(n.listen, func(have *listener) bool { return have.key == p.listener.key })
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
	for _, e := range n.endpoints {
		e.target.release()
	}
}

// ServeHTTP answers a request: one that wants a WebSocket at an endpoint, any other as a page if there is one. What is
// neither gets the answer of the pages, 404 or 405.
func (n *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if host := strings.ToLower(r.Host); host != r.Host { // a host name has no case (RFC 9110 §4.2.3), but ServeMux takes it as it is
		lower := *r
		lower.Host = host
		r = &lower
	}
	_, endpoint := n.sockets.Handler(r)
	if wantsWebSocket(r) {
		if endpoint == "" {
			n.rec.missing(r)
			w.Header().Set("Connection", "close") // a proxy may take what follows for a WebSocket
			unknown(n.sockets, w, r)
			return
		}
		n.sockets.ServeHTTP(w, r)
		return
	}
	if _, page := n.pages.Handler(r); page != "" {
		n.pages.ServeHTTP(w, r)
	} else if page := n.pageOf(r); page != nil {
		page.ServeHTTP(w, r)
	} else if endpoint != "" {
		n.sockets.ServeHTTP(w, r)
	} else {
		unknown(n.pages, w, r)
	}
}

// unknown answers a request for a path that mux does not have, as mux would, except that a 404 says why.
func unknown(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	answer := &statusWriter{ResponseWriter: discard{http.Header{}}, status: http.StatusOK}
	mux.ServeHTTP(answer, r)
	if answer.status != http.StatusNotFound {
		mux.ServeHTTP(w, r)
		return
	}
	plain(w, http.StatusNotFound, "404 Not Found\n\nThere is no endpoint and no page at this path.\nNext step: check the path, and the host\n")
}

// discard is a ResponseWriter that keeps its header only.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
