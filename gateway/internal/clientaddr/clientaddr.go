// Package clientaddr determines the address of a client behind proxies. It trusts only headers from trusted proxies, and only the
// part that trusted proxies wrote: each proxy appends an entry, and entries that a client wrote precede those.
package clientaddr

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Header selects the header that the proxies write.
type Header string

// The headers. Proxies pass on headers that they do not know, so a header that they do not write may come from the client.
const (
	Forwarded     Header = "forwarded"       // RFC 7239
	XForwardedFor Header = "x-forwarded-for" // a list of addresses
)

// maxHops is the maximum number of entries that are read.
const maxHops = 32

// Of returns the address of the client that sent r. peer is the address of the connection, and trusted are the proxies. If header
// is empty, either header is used; if both are present and they disagree, one of them is not from a proxy, and peer is returned.
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

// walk goes back from the last hop to the first hop that is not a trusted proxy. An entry that is not an address ends the walk, because
// nothing before it can be verified.
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

// splitList splits X-Forwarded-For into its entries.
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

// splitForwarded returns the for parameter of every element of Forwarded, or "" for elements without one (RFC 7239 §4).
//
// Package handshake has a stricter parser of this field for the origin check. That parser ignores a field with a syntax error anywhere,
// which is safe for that check. Here an address has to be determined, and a client that writes a malformed first element must not be able
// to appear with the address of the proxy.
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

// split splits s at separators outside of quoted strings.
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

// unquote removes the quotes. An address contains nothing that requires a backslash.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// parse parses an address, with or without a port: 192.0.2.1, 192.0.2.1:80, [2001:db8::1], [2001:db8::1]:80, or 2001:db8::1, which
// is allowed only in X-Forwarded-For (RFC 7239 §6).
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
