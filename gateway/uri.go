package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/clientaddr"
	"github.com/handfast/handfast/gateway/internal/refusals"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// refusesTarget rejects a request whose host this listener does not serve, or whose path servers may interpret differently, before any
// other code uses them. It reports whether it has rejected the request. listen may be nil.
func (s *entrance) refusesTarget(w http.ResponseWriter, r *http.Request, site *site, listen *listener) bool {
	if r.RequestURI == "*" { // net/http has already responded to OPTIONS
		reason, hint := "the target * is only for OPTIONS", "use a path instead"
		if r.Method == "PRI" && r.ProtoMajor == 2 { // RFC 9113 §3.4
			reason, hint = "HTTP/2 with prior knowledge is not supported", "use HTTP/1.1"
		}
		s.refuseTarget(w, r, http.StatusBadRequest, reason, hint)
		return true
	}
	fault := ambiguousPart(r.URL, false)
	if fault != "" && !wantsWebSocket(r) && site.pageOf(r) != nil {
		fault = ambiguousPart(r.URL, true)
	}
	if fault != "" {
		s.refuseTarget(w, r, http.StatusBadRequest, "the path has "+fault, "write the path without it")
		return true
	}
	if listen == nil || listen.hosts.has(hostOf(r)) || site.fromProxy(r) {
		return false
	}
	s.refuseTarget(w, r, http.StatusMisdirectedRequest, "this listener is not for that host",
		"use another name of the server; its operator can add this one to the listener's hosts")
	return true
}

// refuseTarget writes and records the rejection of a request for its host or its path.
func (s *entrance) refuseTarget(w http.ResponseWriter, r *http.Request, status int, reason, hint string) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(wshandshake.StageRequest), status, reason, hint
	s.rec.record(s.rec.unknownEndpoint, n, "", "")
	s.rec.storeOutcome(viaOf(r), refusals.Outcome{Status: status, Stage: n.Stage, Reason: reason, Hint: hint})
	w.Header().Set("Connection", "close") // a proxy may see the end of this request elsewhere
	plain(w, status, strconv.Itoa(status)+" "+http.StatusText(status)+"\n\nThis was refused: "+reason+".\nNext step: "+hint+"\n")
}

// ambiguousPart returns the part of a path that servers interpret differently, so that a decision of one of them, such as the
// choice of the endpoint, may not hold for the next: an encoded separator (CWE-177), dot segments (CWE-22), parameters, empty
// segments, and characters that are not allowed in a path. "" means that there is none. names is set for the pages of targets,
// which this server serves itself: their segments contain names of channels and users, in which slashes and semicolons are ordinary
// characters.
func ambiguousPart(u *url.URL, names bool) string {
	raw := strings.ToLower(u.RawPath) // empty if the path has the default encoding, which never contains #
	switch path := u.Path; {
	case !names && strings.Contains(raw, "%2f"):
		return "an encoded slash"
	case strings.Contains(raw, "#"): // RFC 9112 §3.2: a request target has no fragment; net/http takes it as a part of the path
		return "a fragment"
	case strings.Contains(path, `\`):
		return "a backslash"
	case !names && strings.Contains(path, ";"):
		return "a semicolon"
	case !utf8.ValidString(path):
		return "bytes that are not UTF-8"
	case strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "a control character"
	case strings.Contains(path, "//"):
		return "an empty segment"
	case strings.Contains(path, "/.") && slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." }):
		return "a dot segment"
	}
	return ""
}

// hosts is the set of Host values that a listener accepts. nil accepts any.
type hosts struct {
	names []string
	local bool // loopback names, IP addresses and an empty host are accepted too
}

// has reports whether host, which has no port, is accepted.
func (h *hosts) has(host string) bool {
	if h == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if slices.Contains(h.names, host) {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err == nil {
		// DNS rebinding makes an attacker's name resolve to this server: requests of the attacker's page have that name in their
		// Host, never an address.
		return h.local || slices.Contains(h.names, addr.String())
	}
	return h.local && (host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost"))
}

// hostsOf returns the accepted hosts of a listener.
func (n *site) hostsOf(l *listener) *hosts {
	switch set := l.cfg.Hosts; {
	case set.Any:
		return nil
	case len(set.List) > 0:
		h := &hosts{}
		for _, name := range set.List {
			if addr, err := netip.ParseAddr(name); err == nil {
				name = addr.String()
			}
			h.names = append(h.names, strings.ToLower(name))
		}
		return h
	}
	dev := l.cfg.TLS.Mode == config.TLSDev
	if !dev && (l.cfg.TLS.Mode != config.TLSOff || !l.cfg.Address.Loopback()) || len(n.proxies) > 0 || len(l.proxies) > 0 {
		return nil
	}
	h := &hosts{local: true, names: []string{strings.ToLower(l.cfg.Address.Host())}}
	if dev && l.certs.dev != nil {
		h.names = append(h.names, l.certs.dev.Names()...)
	}
	for i := range n.cfg.Listen {
		h.names = append(h.names, n.cfg.Listen[i].TLS.ACME.Hosts...)
	}
	for i := range n.cfg.Endpoints {
		h.names = append(h.names, n.cfg.Endpoints[i].Hosts...)
	}
	return h
}

// fromProxy reports whether a request comes from a trusted proxy, which is responsible for the host.
func (n *site) fromProxy(r *http.Request) bool {
	p := viaOf(r).peer
	return p != nil && (p.via.IsValid() || clientaddr.Trusted(n.proxies, p.addr.Addr()))
}
