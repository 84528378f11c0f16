package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/clientaddr"
)

// via is what is known of a request's way here. It is in the request's context.
type via struct {
	peer    *peer
	client  netip.Addr // behind the proxies
	site    *site      // that serves the request
	attempt string     // the page's mark of a handshake; "" means none
}

type viaKey struct{}

// passage is the context of a request from front on, with its via and, once it has come to an endpoint, its handshake. One goroutine
// uses it until then.
type passage struct {
	context.Context
	via       via
	handshake *handshake // nil before
}

// Value implements [context.Context].
func (p *passage) Value(key any) any {
	switch key.(type) {
	case viaKey:
		return &p.via
	case handshakeKey:
		if p.handshake != nil {
			return p.handshake
		}
	}
	return p.Context.Value(key)
}

// viaOf returns the via of a request.
func viaOf(r *http.Request) *via {
	v, _ := r.Context().Value(viaKey{}).(*via)
	if v == nil {
		return &via{}
	}
	return v
}

// front is where every request comes in. From here on RemoteAddr is the address of the client that speaks HTTP to us, whether
// a balancer has named it or not.
func (s *entrance) front(w http.ResponseWriter, r *http.Request) {
	site := s.adm.site()
	p := &passage{Context: r.Context(), via: via{site: site, peer: peerOf(r.Context())}}
	v := &p.via
	if v.peer != nil {
		r.RemoteAddr = v.peer.addr.String()
		v.client = clientaddr.Of(r, v.peer.addr.Addr(), site.proxies, "")
	}
	r = r.WithContext(p)
	if site.cfg.Console {
		v.attempt = takeAttempt(r)
	}
	if len(r.TransferEncoding) > 0 {
		// Whatever proxy is in front may have seen another end of this request: nothing on the connection is believed to
		// begin behind it (RFC 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	listen := site.listenerOf(v.peer)
	switch {
	case s.refusesTarget(w, r, site, listen):
	case listen == nil: // the listener was taken out of the configuration while the request was on its way
		site.ServeHTTP(w, r)
	case listen.redirect != nil:
		listen.redirect.ServeHTTP(w, r)
	default:
		if listen.hsts != "" && r.TLS != nil && !wantsWebSocket(r) {
			w.Header().Set("Strict-Transport-Security", listen.hsts)
		}
		site.ServeHTTP(w, r)
	}
}

// wantsWebSocket reports whether a request asks for a WebSocket, well or badly.
func wantsWebSocket(r *http.Request) bool {
	for _, line := range r.Header["Upgrade"] {
		if strings.EqualFold(line, "websocket") {
			return true
		}
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(name, " \t"), "websocket") {
				return true
			}
		}
	}
	return false
}

// hsts returns the value of Strict-Transport-Security (RFC 6797 §6.1), "" for none.
func hsts(cfg config.Listen) string {
	if cfg.HSTS <= 0 {
		return ""
	}
	return "max-age=" + strconv.FormatInt(int64(time.Duration(cfg.HSTS)/time.Second), 10)
}

// redirect sends requests for pages to https, and tells those that want a WebSocket the address to use.
func (s *entrance) redirect(w http.ResponseWriter, r *http.Request) {
	host, ok := plainHost(r.Host)
	if !ok {
		http.Error(w, "400 Bad Request\n\nThe Host header names no host.", http.StatusBadRequest)
		return
	}
	if port := *s.securePort.Load(); port != "" && port != "443" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if wantsWebSocket(r) {
		to.Scheme, to.RawQuery = "wss", ""
		http.Error(w, "403 Forbidden\n\nWebSockets are served with TLS only.\nNext step: use "+to.String(), http.StatusForbidden)
		s.rec.redirected(r, to.String())
		return
	}
	status := http.StatusMovedPermanently
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusPermanentRedirect // RFC 9110 §15.4.9: the method stays the same
	}
	w.Header().Set("Location", to.String())
	w.WriteHeader(status)
}

// plainHost returns what a Host header names, without the port and without brackets, and whether that can be in a URL:
// what a client sends comes back in a Location.
func plainHost(header string) (host string, ok bool) {
	if strings.HasPrefix(header, "[") { // RFC 3986 §3.2.2: an address of IPv6, and no zone, which means nothing elsewhere
		inner, port, ok := strings.Cut(header[1:], "]")
		addr, err := netip.ParseAddr(inner)
		return inner, ok && err == nil && addr.Is6() && addr.Zone() == "" && (port == "" || port[0] == ':')
	}
	host, _, _ = strings.Cut(header, ":")
	return host, strings.Trim(host, ".-_") != "" && len(host) <= 255 && !strings.ContainsFunc(host, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
	})
}

// portWithTLS returns the port of the first listener with TLS, "" when there is none.
func portWithTLS(all []*bound) string {
	for _, b := range all {
		if u, err := url.Parse(b.url); err == nil && u.Scheme == "https" {
			return u.Port()
		}
	}
	return ""
}
