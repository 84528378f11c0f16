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

// refusesTarget answers a request whose host this listener is not for, or whose path two servers could take for different ones, before
// anything else looks at either. It reports false for all others. listen may be nil.
func (s *entrance) refusesTarget(w http.ResponseWriter, r *http.Request, site *site, listen *listener) bool {
	fault := pathFault(r.URL, false)
	if fault != "" && !wantsWebSocket(r) && site.pageOf(r) != nil {
		fault = pathFault(r.URL, true)
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

// refuseTarget answers a request that is refused for its host or its path, and records it.
func (s *entrance) refuseTarget(w http.ResponseWriter, r *http.Request, status int, reason, hint string) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Status, n.Reason, n.Hint = string(wshandshake.StageRequest), status, reason, hint
	s.rec.record(s.rec.outside, n, "", "")
	s.rec.ended(viaOf(r), refusals.Outcome{Status: status, Stage: n.Stage, Reason: reason, Hint: hint})
	w.Header().Set("Connection", "close") // nothing on it is believed to have the end that a proxy has seen
	plain(w, status, strconv.Itoa(status)+" "+http.StatusText(status)+"\n\nThis was refused: "+reason+".\nNext step: "+hint+"\n")
}

// pathFault returns what of a path servers understand in different ways, so that a rule for it at one of them, such as which endpoint it
// belongs to, need not hold at the next: an encoded separator (CWE-177), dot segments (CWE-22), parameters, empty segments, and characters
// that are in no path. "" means that there is nothing. names is for the pages of targets, which
// this server answers itself: they have names of channels and users in segments, in which a slash and a semicolon are characters as others.
func pathFault(u *url.URL, names bool) string {
	raw := strings.ToLower(u.RawPath) // empty unless it differs from what Path is usually written as
	switch path := u.Path; {
	case !names && strings.Contains(raw, "%2f"):
		return "an encoded slash"
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

// hosts are what requests on a listener may have in their Host. nil is any.
type hosts struct {
	names []string
	local bool // it is for local use: loopback names, IP addresses and no host at all are among them
}

// has reports whether host, which has no port, is among them.
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
		// DNS rebinding makes a name resolve to this server: requests of such a page have that name in their Host, never an address.
		return h.local || slices.Contains(h.names, addr.String())
	}
	return h.local && (host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost"))
}

// hostsOf returns what requests on a listener may be for.
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
	if !dev && (l.cfg.TLS.Mode != config.TLSOff || !l.cfg.Address.Loopback()) || len(n.proxies) > 0 || len(l.from) > 0 {
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

// fromProxy reports whether a request comes from a trusted proxy, which answers for the host.
func (n *site) fromProxy(r *http.Request) bool {
	p := viaOf(r).peer
	return p != nil && (p.via.IsValid() || clientaddr.Trusted(n.proxies, p.addr.Addr()))
}
