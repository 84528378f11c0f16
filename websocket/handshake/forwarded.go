package handshake

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// forwarded returns the scheme and the host that the browser used, as reported by trusted proxies. Each proxy vouches only for the request
// that it received. So the hops are followed from the nearest one up to the first hop whose sender is not trusted. The hops beyond may be
// forged.
func forwarded(o *Opening, proxies []netip.Prefix) hop {
	if !trustedPeer(o.RemoteAddr, proxies) {
		return hop{}
	}
	hops, _ := parseForwarded(o.Forwarded) // empty if the field is invalid
	std, x := clientHop(hops, proxies), clientHop(xForwarded(o), proxies)
	if std.Proto == "" {
		std.Proto = x.Proto
	}
	if std.Host == "" {
		std.Host = x.Host
	}
	return std
}

// trustedPeer reports whether the peer of a connection is a trusted proxy. The zero Prefix matches the peer of a Unix socket, whose address
// is empty or begins with "@" or "/".
func trustedPeer(remote string, proxies []netip.Prefix) bool {
	if remote == "" || remote[0] == '@' || remote[0] == '/' {
		return slices.Contains(proxies, netip.Prefix{})
	}
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && trusted(peer.Addr(), proxies)
}

// clientHop combines hops, which are ordered from the farthest to the nearest, and returns the scheme and host of the farthest hop
// that trusted proxies vouch for.
func clientHop(hops []hop, proxies []netip.Prefix) (h hop) {
	for _, hop := range slices.Backward(hops) {
		if p, ok := scheme(hop.Proto); ok {
			h.Proto = p
		}
		if _, ok := parseAuthority(hop.Host); ok {
			h.Host = hop.Host
		}
		from, ok := nodeAddr(hop.For)
		if !ok || !trusted(from, proxies) {
			break
		}
	}
	return h
}

// scheme converts a forwarded protocol to the page's scheme.
func scheme(proto string) (string, bool) {
	switch header.Lower(proto) {
	case "https", "wss":
		return "https", true
	case "http", "ws":
		return "http", true
	}
	return "", false
}

// xForwarded converts the X-Forwarded headers to hops. Proxies append to each of these headers separately, or overwrite it, so the last
// elements belong to the nearest hop.
func xForwarded(o *Opening) []hop {
	from := lastElements(o.ForwardedFor)
	proto := lastElements(o.ForwardedProto)
	host := lastElements(o.ForwardedHost)
	hops := make([]hop, max(len(from), len(proto), len(host)))
	for i := range hops {
		hops[i] = hop{
			For:   alignedElement(from, i, len(hops)),
			Proto: alignedElement(proto, i, len(hops)),
			Host:  alignedElement(host, i, len(hops)),
		}
	}
	return hops
}

// lastElements returns at most the last 32 elements of a list.
func lastElements(lines []string) []string {
	const maxElements = 32
	var list []string
	for e := range header.Elements(lines) {
		if len(list) == maxElements {
			list = list[:copy(list, list[1:])]
		}
		list = append(list, e)
	}
	return list
}

// alignedElement returns element i of a list of n places in which the elements of list occupy the last places, or "" if that place is empty.
func alignedElement(list []string, i, n int) string {
	if i -= n - len(list); i >= 0 {
		return list[i]
	}
	return ""
}

// nodeAddr parses an address in a Forwarded or X-Forwarded-For header: bare, in brackets, or with a port.
func nodeAddr(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a, err == nil
}

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
