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

// site is one configuration, prepared for serving. It is immutable.
type site struct {
	rec       *recorder
	cfg       *config.Config
	proxies   []netip.Prefix
	listen    []*listener // in the order of cfg.Listen
	dev       *certs.Dev  // nil means no listener has a development certificate
	methods   *methods
	endpoints []*endpoint

	sockets *http.ServeMux // the paths of the endpoints
	pages   *http.ServeMux // the other pages of the server itself
	targets []targetPages  // the pages of targets, in the order of the configuration
	apply   []func()       // applies the new settings to targets that are reused, once this site is in use
}

// listener holds the settings for the requests on one address.
type listener struct {
	cfg      config.Listen
	key      string         // identifies the address in other configurations
	certs    *certSource    // nil means no TLS
	redirect http.Handler   // nil if requests are served
	hsts     string         // "" means none
	hosts    *hosts         // the accepted Host values; nil means any
	proxies  []netip.Prefix // balancers whose connections begin with a PROXY header
}

// tls returns the TLS configuration, or nil if there is none.
func (l *listener) tls() *tls.Config {
	if l.certs == nil {
		return nil
	}
	return l.certs.config
}

// handle mounts h, and returns an error where ServeMux would panic.
func handle(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the path cannot be served: %v", p)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// sources returns the certificate sources of the listeners, without duplicates.
func (n *site) sources() []*certSource {
	var list []*certSource
	for _, l := range n.listen {
		if l.certs != nil && !slices.Contains(list, l.certs) {
			list = append(list, l.certs)
		}
	}
	return list
}

// startCerts starts ACME. The listeners must already accept connections.
func (n *site) startCerts() {
	for _, c := range n.sources() {
		c.provider.Start()
	}
}

// listenerOf returns the listener for requests of p, or nil if it is no longer in the configuration.
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

// close releases the resources that a site holds and next does not. next may be nil.
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

// ServeHTTP responds to a request: a handshake at an endpoint, or another request for which there is a page. Otherwise the response
// is 404 or 405.
func (n *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if host := strings.ToLower(r.Host); host != r.Host { // RFC 9110 §4.2.3: case-insensitive, but ServeMux compares exactly
		lower := *r
		lower.Host = host
		r = &lower
	}
	_, endpoint := n.sockets.Handler(r)
	if wantsWebSocket(r) {
		if endpoint == "" {
			n.rec.missing(r)
			w.Header().Set("Connection", "close") // a proxy may interpret the following bytes as a WebSocket
			n.unknown(n.sockets, w, r)
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
		n.unknown(n.pages, w, r)
	}
}

// reason returns the reason for a 404 response.
func (n *site) reason(r *http.Request) string {
	if _, page := n.pages.Handler(r); page != "" || n.pageOf(r) != nil {
		return "There is a page at this path, but no WebSocket endpoint."
	}
	return "There is no endpoint and no page at this path."
}

// unknown responds to a request for a path that mux does not have, as mux would, except that a 404 explains the reason.
func (n *site) unknown(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	answer := &statusWriter{ResponseWriter: discard{http.Header{}}, status: http.StatusOK}
	mux.ServeHTTP(answer, r)
	if answer.status != http.StatusNotFound {
		mux.ServeHTTP(w, r)
		return
	}
	plain(w, http.StatusNotFound, "404 Not Found\n\n"+n.reason(r)+"\nNext step: check the path, and the host\n")
}

// discard is a ResponseWriter that keeps only its header.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
