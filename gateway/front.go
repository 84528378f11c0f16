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

// via describes how a request has reached the server. It is in the request's context.
type via struct {
	peer    *peer
	client  netip.Addr // the client's address, behind the proxies
	site    *site      // the site that serves the request
	attempt string     // the mark that the page has added to the handshake; "" means none
}

type viaKey struct{}

// requestContext is the context that front gives a request. It contains the via of the request and, once the request has reached an
// endpoint, the handshake. Until then only one goroutine uses it.
type requestContext struct {
	context.Context
	via       via
	handshake *handshake // nil before the request has reached an endpoint
}

// Value implements [context.Context].
func (p *requestContext) Value(key any) any {
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

// front handles every request first. It sets RemoteAddr to the client of this HTTP connection, which is the address in the PROXY header if
// a balancer has sent one.
func (s *entrance) front(w http.ResponseWriter, r *http.Request) {
	site := s.adm.site()
	p := &requestContext{Context: r.Context(), via: via{site: site, peer: peerOf(r.Context())}}
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
		// A proxy in front may have determined another end of this request, so the following bytes on this connection cannot be
		// trusted (RFC 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	listen := site.listenerOf(v.peer)
	switch {
	case s.refusesTarget(w, r, site, listen):
	case listen == nil: // a reload has removed the listener in the meantime
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

// wantsWebSocket reports whether a request asks for a WebSocket, even if the request is malformed.
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

// hsts returns the value of Strict-Transport-Security (RFC 6797 §6.1), or "" for none.
func hsts(cfg config.Listen) string {
	if cfg.HSTS <= 0 {
		return ""
	}
	return "max-age=" + strconv.FormatInt(int64(time.Duration(cfg.HSTS)/time.Second), 10)
}

// redirect redirects HTTP requests to https, and responds to handshakes with the address to use.
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
		status = http.StatusPermanentRedirect // RFC 9110 §15.4.9: the client repeats the method
	}
	w.Header().Set("Location", to.String())
	w.WriteHeader(status)
}

// plainHost returns the host in a Host header, without the port and without brackets, and reports whether the host is safe to use in a URL:
// the client chooses the header, and the host is returned in Location.
func plainHost(header string) (host string, ok bool) {
	if strings.HasPrefix(header, "[") { // RFC 3986 §3.2.2: an IPv6 address, without a zone, which has no meaning on other machines
		inner, port, ok := strings.Cut(header[1:], "]")
		addr, err := netip.ParseAddr(inner)
		return inner, ok && err == nil && addr.Is6() && addr.Zone() == "" && (port == "" || port[0] == ':')
	}
	host, _, _ = strings.Cut(header, ":")
	return host, strings.Trim(host, ".-_") != "" && len(host) <= 255 && !strings.ContainsFunc(host, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
	})
}

// portWithTLS returns the port of the first listener with TLS, or "" when there is none.
func portWithTLS(all []*bound) string {
	for _, b := range all {
		if u, err := url.Parse(b.url); err == nil && u.Scheme == "https" {
			return u.Port()
		}
	}
	return ""
}
