// Package clientaddr finds the address of the client behind proxies. Headers are believed from trusted proxies only, and
// only as far as trusted proxies wrote them: each adds itself at the end, and what a client wrote stands before that.
package clientaddr

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Header says which header proxies write.
type Header string

// The headers. Proxies pass on what they do not know, so the one that they do not write can be a client's invention.
const (
	Forwarded     Header = "forwarded"       // RFC 7239
	XForwardedFor Header = "x-forwarded-for" // a list of addresses
)

// maxHops bounds how many entries are looked at.
const maxHops = 32

// Of returns the address of the client that sent r, which came from the address peer. trusted are the proxies. With an
// empty header either of the two is read; when there are both and they disagree, one of them is not a proxy's, and peer
// is returned.
func Of(r *http.Request, peer netip.Addr, trusted []netip.Prefix, header Header) netip.Addr {
	peer = peer.Unmap().WithZone("")
	if !Trusted(trusted, peer) {
		return peer
	}
	forwarded, list := r.Header["Forwarded"], r.Header["X-Forwarded-For"]
	switch {
	case header == Forwarded, header == "" && len(list) == 0:
		return walk(peer, trusted, splitForwarded(forwarded))
	case header == XForwardedFor, len(forwarded) == 0:
		return walk(peer, trusted, splitList(list))
	}
	a, b := walk(peer, trusted, splitForwarded(forwarded)), walk(peer, trusted, splitList(list))
	if a != b {
		return peer
	}
	return a
}

// Trusted reports whether addr is in one of the prefixes.
func Trusted(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// walk goes back from the last hop to the first one that is not a trusted proxy. An entry that is not an address ends the walk:
// what is before it cannot be judged.
func walk(peer netip.Addr, trusted []netip.Prefix, hops []string) netip.Addr {
	for i, hop := range slices.Backward(hops) {
		addr, ok := parse(hop)
		if !ok || i < len(hops)-maxHops {
			return peer
		}
		if peer = addr; !Trusted(trusted, addr) {
			return peer
		}
	}
	return peer
}

// splitList splits X-Forwarded-For.
func splitList(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	hops := strings.Split(strings.Join(lines, ","), ",")
	for i, hop := range hops {
		hops[i] = strings.Trim(hop, " \t")
	}
	return hops
}

// splitForwarded returns the for parameter of every element of Forwarded, "" where there is none: RFC 7239 §4.
//
// package handshake has a stricter reader of this field, for the question of the origin: it ignores a field that breaks the
// grammar anywhere, which fails closed. Here an address has to come out, and a client that writes nonsense at the far end must
// not make itself look like the proxy.
func splitForwarded(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	var hops []string
	for _, element := range split(strings.Join(lines, ","), ',') {
		hop := ""
		for _, pair := range split(element, ';') {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if strings.EqualFold(name, "for") {
				hop = unquote(value)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// split splits s at a separator that stands outside of quoted strings.
func split(s string, sep byte) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == sep && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// unquote takes the quotes off. An address has nothing in it that is written with a backslash.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// parse reads an address, with or without a port: 192.0.2.1, 192.0.2.1:80, [2001:db8::1], [2001:db8::1]:80, and
// 2001:db8::1, which only X-Forwarded-For may have (RFC 7239 §6).
func parse(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if s, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
	}
	addr, err := netip.ParseAddr(s)
	return addr.Unmap().WithZone(""), err == nil
}
