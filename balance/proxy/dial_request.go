package proxy

import (
	"errors"
	"iter"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// hopByHop are the fields that are for the next hop only (RFC 9110 §7.6.1), in addition to those that Connection names and those that
// the handshake itself is made of.
var hopByHop = []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Host"}

// forwardedNames are the fields that say who the client of a proxy is.
var forwardedNames = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip"}

// folded returns a name as servers compare it that put fields into variables: without regard to case, "_" as "-".
func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// same reports whether folded makes one name of both.
func same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

// among reports whether a name is the same as one of a list.
func among(name string, list []string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return same(name, s) })
}

// request returns what is sent to the upstream.
func (d *Dialer) request(r *Request) (*handshake.Request, error) {
	target, err := d.target(r.URL)
	if err != nil {
		return nil, err
	}
	header, err := d.header(r)
	if err != nil {
		return nil, err
	}
	req := &handshake.Request{Target: target, Host: d.host, Key: newKey(), Header: header}
	if d.o.KeepHost {
		if !handshake.ValidHost(r.Host) {
			return nil, errors.New("the Host of the client is not valid")
		}
		req.Host = r.Host
	}
	req.Subprotocols = slices.Collect(subprotocols(r.Header))
	if err := handshake.CheckSubprotocols(req.Subprotocols); err != nil {
		return nil, err
	}
	if offers := r.Header["Sec-Websocket-Extensions"]; len(offers) > 0 {
		if req.Extensions, err = handshake.ParseExtensions(offers); err != nil {
			return nil, err
		}
	}
	return req, handshake.CheckFields(req.Header)
}

// subprotocols yields those that a client offers.
func subprotocols(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h["Sec-Websocket-Protocol"] {
			for name := range strings.SplitSeq(line, ",") {
				if name = strings.Trim(name, " \t"); name != "" && !yield(name) {
					return
				}
			}
		}
	}
}

// header returns the fields that are passed on, with ours. What the client calls hop-by-hop is removed first, so that it removes
// none of ours.
func (d *Dialer) header(r *Request) (http.Header, error) {
	var signed http.Header
	if r.Sign != nil {
		var err error
		if signed, err = r.Sign(d.upstream); err != nil {
			return nil, err
		}
	}
	out := d.clientFields(r.Header, r.Identity, signed)
	for _, h := range []http.Header{d.o.Header, r.Identity, signed} {
		for name, values := range h {
			out[http.CanonicalHeaderKey(name)] = values
		}
	}
	d.forward(out, r)
	return out, nil
}

// clientFields returns the fields of the head or the trailer of a client's request that are passed on, without those that are in one of
// ours: a server may take both for the same.
func (d *Dialer) clientFields(h http.Header, ours ...http.Header) http.Header {
	return endToEnd(h, func(name string) bool {
		if among(name, forwardedNames) || among(name, d.removed) {
			return true
		}
		for _, fields := range ours {
			for own := range fields {
				if same(name, own) {
					return true
				}
			}
		}
		return false
	})
}

// endToEnd returns the fields of h that are not for the next hop, and none of which the handshake is made, without those for which
// removed returns true.
func endToEnd(h http.Header, removed func(name string) bool) http.Header {
	out, named := make(http.Header, len(h)), namedBy(h)
	for name, values := range h {
		if !nextHop(name, named) && (removed == nil || !removed(name)) {
			out[name] = values
		}
	}
	return out
}

// strip is endToEnd in h itself.
func strip(h http.Header) http.Header {
	named := namedBy(h)
	maps.DeleteFunc(h, func(name string, _ []string) bool { return nextHop(name, named) })
	return h
}

// namedBy returns the fields that h says are for the next hop, nil for none but what is so anyway.
func namedBy(h http.Header) (named map[string]bool) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); !among(name, hopByHop) && !same(name, "upgrade") {
				if named == nil {
					named = map[string]bool{}
				}
				named[folded(name)] = true
			}
		}
	}
	return named
}

// nextHop reports whether a field is for the next hop, or one of which the handshake is made.
func nextHop(name string, named map[string]bool) bool {
	return among(name, hopByHop) || reserved(name) || named != nil && named[folded(name)]
}

// reserved reports whether the handshake is made of a field, for a server that takes "_" for "-".
func reserved(name string) bool {
	if strings.Contains(name, "_") {
		name = folded(name)
	}
	return handshake.Reserved(name)
}

// forward adds what says who the client is.
func (d *Dialer) forward(set http.Header, r *Request) {
	proto := "http"
	if r.TLS != nil {
		proto = "https"
	}
	addr := r.Source.Addr().Unmap().WithZone("")
	var before, elements []string
	host := ""
	if handshake.ValidHost(r.Host) {
		host = r.Host
	}
	if d.o.AppendForwarded {
		before, elements = r.Header["X-Forwarded-For"], r.Header["Forwarded"]
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil { // what comes before says who its client is
			addr = peer.Addr().Unmap().WithZone("")
		}
		if said := r.Header["X-Forwarded-Proto"]; len(said) == 1 {
			proto = said[0]
		}
		if said := r.Header["X-Forwarded-Host"]; len(said) == 1 {
			host = said[0]
		}
	}
	element := "proto=" + quoted(proto)
	if addr.IsValid() {
		before = append(before[:len(before):len(before)], addr.String())
		who := addr.String()
		if addr.Is6() {
			who = "[" + who + "]"
		}
		element = "for=" + quoted(who) + ";" + element
	}
	if host != "" {
		element += ";host=" + quoted(host)
		set["X-Forwarded-Host"] = []string{host}
	}
	if len(before) > 0 {
		set["X-Forwarded-For"] = []string{strings.Join(before, ", ")}
	}
	set["X-Forwarded-Proto"] = []string{proto}
	set["Forwarded"] = []string{strings.Join(append(elements[:len(elements):len(elements)], element), ", ")}
}

// quoted returns a value of the Forwarded field, in quotes where it is not a token (RFC 7239 §4).
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, unplain) {
		return s
	}
	return `"` + escapes.Replace(s) + `"`
}

// unplain reports whether a value with c in it is written in quotes.
func unplain(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_'
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// target returns the path and query for the upstream. It cannot leave the prefix of the upstream.
func (d *Dialer) target(u *url.URL) (string, error) {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") || dotted(path) {
		return "", errors.New("the path does not begin with a slash, or has a segment . or ..")
	}
	if strip := strings.TrimRight(d.o.StripPrefix, "/"); strip != "" {
		rest, ok := strings.CutPrefix(path, strip)
		if !ok || rest != "" && rest[0] != '/' {
			return "", errors.New("the path does not begin with the prefix that is stripped")
		}
		path = rest
	}
	if path = d.prefix + path; path == "" {
		path = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + escaped(u.RawQuery)
	}
	return path, nil
}

// encoded are the encodings of special characters in a path.
var encoded = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/", "%3b", ";", "%3B", ";", "%25", "%")

// dotted reports whether a path has a segment that leads elsewhere, for any server that decodes it up to three times, takes a backslash for
// a slash or drops the parameters of a segment.
func dotted(path string) bool {
	for range 4 {
		for segment := range strings.SplitSeq(path, "/") {
			if segment, _, _ = strings.Cut(segment, ";"); segment == "." || segment == ".." {
				return true
			}
		}
		if !strings.ContainsAny(path, `%\`) {
			return false
		}
		path = encoded.Replace(path)
	}
	return false
}

// escaped returns a query in which no byte ends the request line, or the query.
func escaped(query string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(query))
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '#' {
			out = append(out, '%', hex[c>>4], hex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// proxyHeader appends the header of the PROXY protocol, if there is to be one.
func (d *Dialer) proxyHeader(dst []byte, r *Request) []byte {
	from, to := r.Source, r.Destination
	known := from.IsValid() && to.IsValid()
	if known {
		a, b := from.Addr().Unmap().WithZone(""), to.Addr().Unmap().WithZone("")
		if a.Is4() != b.Is4() { // one family for both
			a, b = netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
		}
		from, to = netip.AddrPortFrom(a, from.Port()), netip.AddrPortFrom(b, to.Port())
	}
	switch d.o.ProxyProtocol {
	case 1:
		return appendProxyV1(dst, from, to, known)
	case 2:
		return appendProxyV2(dst, from, to, known)
	}
	return dst
}
