package opening

import (
	"bufio"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// Opening returns the parts of the request that the rules of the handshake check. text is the header passed to Parse, or a longer
// string that begins with it. The strings in the Opening are parts of text. h owns the Opening, which is valid until the next
// Reset. The caller has to set TLS and RemoteAddr.
//
// If the verdict is Other, the Opening contains the parts parsed so far, which are enough for Check to report why the
// request is not a handshake.
func (h *Head) Opening(text string) *handshake.Opening {
	o := &h.opening
	o.Reset()
	o.Method, o.Target = h.method.slice(text), h.target.slice(text)
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
			*list = h.fieldValues(kind(k), text)
		}
	}
	if o.HostLines = len(hosts); o.HostLines > 0 {
		o.Host = hosts[0]
	}
	return o
}

// fieldValues returns the values of all fields of a kind.
func (h *Head) fieldValues(k kind, text string) []string {
	first := len(h.values)
	for _, f := range h.fields {
		if f.kind == k {
			h.values = append(h.values, f.value.slice(text))
		}
	}
	n := len(h.values)
	return h.values[first:n:n]
}

// Request converts the header to an http.Request, for a hook that needs one. The caller has to set RemoteAddr and TLS. text is a
// complete header for which Parse has returned Upgrade. Parts of the Request that the caller retains do not keep text
// in memory, except for the Header.
func Request(r *http.Request, text string) error {
	if parseTypical(r, text) {
		return nil
	}
	parsed, err := http.ReadRequest(bufio.NewReaderSize(strings.NewReader(text), min(len(text), 4<<10)))
	if err == nil {
		*r = *parsed
	}
	return err
}

// parseTypical does the same as http.ReadRequest for a typical header. It returns false for a header that net/http might not copy
// unchanged.
func parseTypical(r *http.Request, text string) bool {
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
				return false // the Connection field may contain "close"
			}
		case "Content-Length", "Transfer-Encoding", "Trailer": // fields with a special meaning in net/http
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

// canonicalNames contains net/http's forms of the names that the rules need.
var canonicalNames = func() (all [kindCount]string) {
	for k, name := range fieldNames {
		all[k] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return all
}()

// canonical returns the name of a field in net/http's form.
func canonical(name string) string {
	if k := kindOf(name); k != kindNone {
		return canonicalNames[k]
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}
