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

// hopByHop are the fields for the next hop only (RFC 9110 §7.6.1), in addition to those that Connection names and those of the
// handshake itself.
var hopByHop = []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Host"}

// forwardedNames are the fields in which a proxy names its client.
var forwardedNames = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip"}

// folded returns a field name in lower case, with "_" replaced by "-". Servers that turn fields into variables do not distinguish
// names with the same result.
func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// equalFolded reports whether two names are equal after folding.
func equalFolded(a, b string) bool {
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

// containsFolded reports whether a list has the name, after folding.
func containsFolded(name string, list []string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return equalFolded(name, s) })
}

// request returns the request for the upstream.
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

// subprotocols yields the subprotocols that a client offers.
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

// header returns the fields to send: the client's fields that are passed on, and the Dialer's own. The client's hop-by-hop fields
// are removed first, so that the client cannot have any of the Dialer's fields removed.
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
	d.addForwarded(out, r)
	return out, nil
}

// clientFields returns the fields of a client's header or trailer that are passed on. A field with a name in added is left out,
// because a server may treat the two as one field.
func (d *Dialer) clientFields(h http.Header, added ...http.Header) http.Header {
	return endToEnd(h, func(name string) bool {
		if containsFolded(name, forwardedNames) || containsFolded(name, d.removed) {
			return true
		}
		for _, fields := range added {
			for own := range fields {
				if equalFolded(name, own) {
					return true
				}
			}
		}
		return false
	})
}

// endToEnd returns the fields of h that are not hop-by-hop and not part of the handshake, without those for which removed returns
// true.
func endToEnd(h http.Header, removed func(name string) bool) http.Header {
	out, named := make(http.Header, len(h)), connectionOptions(h)
	for name, values := range h {
		if !nextHop(name, named) && (removed == nil || !removed(name)) {
			out[name] = values
		}
	}
	return out
}

// strip removes from h the fields that endToEnd leaves out.
func strip(h http.Header) http.Header {
	named := connectionOptions(h)
	maps.DeleteFunc(h, func(name string, _ []string) bool { return nextHop(name, named) })
	return h
}

// connectionOptions returns the fields that the Connection field of h names, or nil if it names none beyond the standard ones.
func connectionOptions(h http.Header) (named map[string]bool) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); !containsFolded(name, hopByHop) && !equalFolded(name, "upgrade") {
				if named == nil {
					named = map[string]bool{}
				}
				named[folded(name)] = true
			}
		}
	}
	return named
}

// nextHop reports whether a field is hop-by-hop, or part of the handshake.
func nextHop(name string, named map[string]bool) bool {
	return containsFolded(name, hopByHop) || reserved(name) || named != nil && named[folded(name)]
}

// reserved reports whether a field is part of the handshake to a server that does not distinguish "_" from "-".
func reserved(name string) bool {
	if strings.Contains(name, "_") {
		name = folded(name)
	}
	return handshake.Reserved(name)
}

// addForwarded adds the fields that identify the client.
func (d *Dialer) addForwarded(set http.Header, r *Request) {
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
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil { // the client is a proxy, whose fields already name its own client
			addr = peer.Addr().Unmap().WithZone("")
		}
		if said := r.Header["X-Forwarded-Proto"]; len(said) == 1 {
			proto = said[0]
		}
		if said := r.Header["X-Forwarded-Host"]; len(said) == 1 {
			host = said[0]
		}
	}
	values := make([]string, 0, 4) // backing array for the values of all fields
	put := func(name, value string) {
		n := len(values)
		values = append(values, value)
		set[name] = values[n : n+1 : n+1]
	}
	element := make([]byte, 0, 128)
	if addr.IsValid() {
		who := addr.String()
		before = append(before[:len(before):len(before)], who)
		if addr.Is6() {
			who = "[" + who + "]"
		}
		element = append(appendQuoted(append(element, "for="...), who), ';')
	}
	element = appendQuoted(append(element, "proto="...), proto)
	if host != "" {
		element = appendQuoted(append(element, ";host="...), host)
		put("X-Forwarded-Host", host)
	}
	if len(before) > 0 {
		put("X-Forwarded-For", strings.Join(before, ", "))
	}
	put("X-Forwarded-Proto", proto)
	put("Forwarded", strings.Join(append(elements[:len(elements):len(elements)], string(element)), ", "))
}

// appendQuoted appends a value for the Forwarded field, in quotes if it is not a token (RFC 7239 §4).
func appendQuoted(dst []byte, s string) []byte {
	if s != "" && !strings.ContainsFunc(s, needsQuoting) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// needsQuoting reports whether a value that contains c must be quoted.
func needsQuoting(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_'
}

// target returns the path and query for the upstream. The path is always below the upstream's prefix.
func (d *Dialer) target(u *url.URL) (string, error) {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") || hasDotSegment(path) {
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

// encoded replaces the percent-encodings of special characters in a path.
var encoded = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/", "%3b", ";", "%3B", ";", "%25", "%")

// hasDotSegment reports whether a path has a dot segment for some server: one that decodes the path up to three times, treats a
// backslash as a slash, or drops the parameters of a segment.
func hasDotSegment(path string) bool {
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

// escaped returns the query with those bytes escaped that would end the request line or the query.
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

// proxyHeader appends the PROXY protocol header, if one is configured.
func (d *Dialer) proxyHeader(dst []byte, r *Request) []byte {
	from, to := r.Source, r.Destination
	known := from.IsValid() && to.IsValid()
	if known {
		a, b := from.Addr().Unmap().WithZone(""), to.Addr().Unmap().WithZone("")
		if a.Is4() != b.Is4() { // both must have the same family
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
