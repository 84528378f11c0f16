package opening

import (
	"bufio"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// Opening returns what the rules of the handshake look at. text is the head as Parse saw it, or more. The strings in the
// Opening are pieces of it; the Opening itself is h's, and is valid until the next Reset. Its TLS and RemoteAddr are the
// caller's to set.
//
// After Other it holds what was parsed so far: enough for Check to say why this is not a handshake.
func (h *Head) Opening(text string) *handshake.Opening {
	o := &h.opening
	o.Reset()
	o.Method, o.Target = h.method.of(text), h.target.of(text)
	o.Major, o.Minor = int(h.major), int(h.minor)
	o.Content = h.content

	h.values = h.values[:0]
	var hosts []string
	for k, list := range [kindCount]*[]string{
		kindHost:             &hosts,
		kindUpgrade:          &o.Upgrade,
		kindConnection:       &o.Connection,
		kindExpect:           &o.Expect,
		kindKey:              &o.Key,
		kindVersion:          &o.Version,
		kindProtocol:         &o.Protocol,
		kindExtensions:       &o.Extensions,
		kindOrigin:           &o.Origin,
		kindForwarded:        &o.Forwarded,
		kindForwardedFor:     &o.ForwardedFor,
		kindForwardedProto:   &o.ForwardedProto,
		kindForwardedHost:    &o.ForwardedHost,
		kindTransferEncoding: &o.TransferEncoding,
	} {
		if h.kinds&(1<<k) != 0 {
			*list = h.linesOf(kind(k), text)
		}
	}
	if o.HostLines = len(hosts); o.HostLines > 0 {
		o.Host = hosts[0]
	}
	return o
}

// linesOf returns the values of the fields of one kind.
func (h *Head) linesOf(k kind, text string) []string {
	first := len(h.values)
	for _, f := range h.fields {
		if f.kind == k {
			h.values = append(h.values, f.value.of(text))
		}
	}
	n := len(h.values)
	return h.values[first:n:n]
}

// Request makes r the head as net/http's request, for a hook that wants one. Its RemoteAddr and TLS are the caller's to set. text is a whole
// head that Parse has called an Upgrade. What is kept of the Request, except for its Header, does not keep text.
func Request(r *http.Request, text string) error {
	if simple(r, text) {
		return nil
	}
	parsed, err := http.ReadRequest(bufio.NewReaderSize(strings.NewReader(text), min(len(text), 4<<10)))
	if err == nil {
		*r = *parsed
	}
	return err
}

// simple makes r what http.ReadRequest makes of a usual head. It returns false for one that net/http may treat in another way than by
// writing down what is there.
func simple(r *http.Request, text string) bool {
	line, fields, _ := strings.Cut(text, "\r\n")
	target, proto, _ := strings.Cut(strings.TrimPrefix(line, "GET "), " ")
	if !strings.HasPrefix(line, "GET /") || proto != "HTTP/1.1" {
		return false
	}
	target = strings.Clone(target)
	u, err := url.ParseRequestURI(target)
	if err != nil || u.Host != "" {
		return false
	}
	lines := strings.Count(fields, "\n") - 1
	host, header := "", make(http.Header, lines)
	values := make([]string, 0, lines)
	for {
		line, rest, ok := strings.Cut(fields, "\r\n")
		if line == "" && ok && rest == "" {
			break
		}
		name, value, colon := strings.Cut(line, ":")
		if !ok || !colon || name == "" {
			return false
		}
		fields = rest
		from, to := trim(value, 0)
		value = strings.Clone(value[from:to])
		switch name = canonical(name); name {
		case "Host":
			if host != "" || value == "" {
				return false
			}
			host = value
			continue
		case "Connection":
			if !strings.EqualFold(value, "Upgrade") && !strings.EqualFold(value, "keep-alive, Upgrade") {
				return false // "close" may be in it
			}
		case "Content-Length", "Transfer-Encoding", "Trailer": // net/http acts on them
			return false
		}
		if header[name] != nil {
			header[name] = append(header[name], value)
			continue
		}
		n := len(values)
		values = append(values, value)
		header[name] = values[n : n+1 : n+1]
	}
	if p := header["Pragma"]; p != nil && p[0] == "no-cache" && header["Cache-Control"] == nil { // RFC 9111 §5.4
		header["Cache-Control"] = []string{"no-cache"}
	}
	*r = http.Request{
		Method: http.MethodGet, URL: u, Proto: proto, ProtoMajor: 1, ProtoMinor: 1, Header: header, Body: http.NoBody, Host: host, RequestURI: target,
	}
	return true
}

// canonicals are the names that net/http makes of those that the rules look at.
var canonicals = func() (all [kindCount]string) {
	for k, name := range names {
		all[k] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return all
}()

// canonical returns the name of a field as net/http has it.
func canonical(name string) string {
	if k := kindOf(name); k != kindNone {
		return canonicals[k]
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}
