package explain

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

const userAgent = "handfast-explain"

// field is one line of the request's header, including secrets, with a note about its purpose.
type field struct{ name, value, note string }

// checkRequest checks that all fields that the options add are allowed in a request.
func (t *requester) checkRequest() bool {
	detail, clause := "", "RFC 9110 §5.5"
	c := &t.o.Credentials
	// added contains the fields for which there are separate options.
	added := http.Header{"Authorization": {c.Bearer}, "Cookie": {c.Cookie}, "X-Api-Key": {c.APIKey}, "Origin": {t.o.Origin}}
	if c.APIKeyHeader != "" {
		added[c.APIKeyHeader] = nil
	}
	for _, h := range [...]http.Header{trimmed(added), trimmed(t.o.Header)} {
		if err := handshake.CheckFields(h); err != nil {
			detail = err.Error()
		}
		for name := range h {
			if handshake.Reserved(name) {
				clause = clauseClient
			}
		}
	}
	if equalFold(c.APIKeyHeader, "Host") {
		detail, clause = "the API key's header cannot be Host", clauseClient
	}
	if err := handshake.CheckSubprotocols(t.subprotocols()); err != nil {
		detail, clause = err.Error(), clauseClient+" (10)"
	}
	if detail == "" {
		return true
	}
	s := t.begin(StageRequest, "build the request")
	s.OK = false
	t.fail(StageRequest, FaultRequest, clause, detail)
	t.end(s, detail)
	return false
}

// trimmed returns h with trimmed values. Surrounding white space is not sent.
func trimmed(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			out[name] = append(out[name], strings.Trim(v, " \t"))
		}
		if len(values) == 0 {
			out[name] = nil
		}
	}
	return out
}

// newKey returns a new Sec-WebSocket-Key: 16 random bytes in base64 (RFC 6455 §4.1 (7)).
func (t *requester) newKey() (string, error) {
	var nonce [16]byte
	if _, err := io.ReadFull(t.o.rand, nonce[:]); err != nil {
		return "", err
	}
	return handshake.EncodeKey(nonce), nil
}

// fields returns the fields of the request in the order of Chromium. If origin is "", there is no Origin field.
func (t *requester) fields(key, origin string) []field {
	const clause = "RFC 6455 §4.1"
	all := []field{
		{"Host", t.target.Host(), clause + " (4): the host, and the port unless it is the scheme's default"},
		{"Connection", "Upgrade", clause + " (6): makes Upgrade apply to this hop only"},
		{"Pragma", "no-cache", "as browsers do: bypasses caches"},
		{"Cache-Control", "no-cache", "the same"},
		{"User-Agent", userAgent, "the client"},
		{"Upgrade", "websocket", clause + " (5): the protocol to change to"},
		{"Origin", origin, clause + " (8): the page's origin; browsers always send it, and no page can forge it"},
		{"Sec-WebSocket-Version", "13", clause + " (9): the only version in use"},
	}
	if origin == "" {
		all = slices.DeleteFunc(all, func(f field) bool { return f.name == "Origin" })
	}
	all = append(all, t.credentialFields()...)
	all = append(all, field{"Sec-WebSocket-Key", key, clause + " (7): 16 random bytes, new for every connection"})
	if !t.o.NoCompression {
		all = append(all, field{"Sec-WebSocket-Extensions", offer.Extension().String(), clause + " (11): offers compression, RFC 7692"})
	}
	if list := t.subprotocols(); len(list) > 0 {
		all = append(all, field{"Sec-WebSocket-Protocol", strings.Join(list, ", "), clause + " (10): the subprotocols to choose from"})
	}
	return t.merge(all)
}

// credentialFields returns the fields with credentials.
func (t *requester) credentialFields() []field {
	c := &t.o.Credentials
	var all []field
	if c.Bearer != "" {
		all = append(all, field{"Authorization", "Bearer " + c.Bearer, "RFC 6750 §2.1; no web page can send it with a WebSocket"})
	}
	if c.Username != "" || c.Password != "" {
		all = append(all, field{"Authorization", "Basic " + basic(c.Username, c.Password), "RFC 7617"})
	}
	if c.APIKey != "" {
		name := c.APIKeyHeader
		if name == "" {
			name = "X-API-Key"
		}
		all = append(all, field{name, c.APIKey, "an API key; no web page can send it with a WebSocket"})
	}
	if c.Cookie != "" {
		all = append(all, field{"Cookie", c.Cookie, "RFC 6265 §5.4: browsers send it for every page"})
	}
	return all
}

// merge adds the caller's headers. Each replaces the existing header with the same name, or is added before Sec-WebSocket-Key.
func (t *requester) merge(all []field) []field {
	for _, name := range slices.Sorted(maps.Keys(t.o.Header)) {
		values := t.o.Header[name]
		at := slices.IndexFunc(all, func(f field) bool { return equalFold(f.name, name) })
		note := "set by the caller"
		if at < 0 {
			at = slices.IndexFunc(all, func(f field) bool { return f.name == "Sec-WebSocket-Key" })
		} else {
			name = all[at].name
			all = slices.DeleteFunc(all, func(f field) bool { return equalFold(f.name, name) })
			at = min(at, len(all))
		}
		var add []field
		for _, v := range values {
			add = append(add, field{name, strings.Trim(v, " \t"), note})
		}
		all = slices.Insert(all, at, add...)
	}
	return all
}

// appendRequest appends the request's header in transmission format.
func (t *requester) appendRequest(dst []byte, fields []field) []byte {
	dst = fmt.Appendf(dst, "GET %s HTTP/1.1\r\n", t.target.URI)
	for _, f := range fields {
		dst = fmt.Appendf(dst, "%s: %s\r\n", f.name, f.value)
	}
	return append(dst, "\r\n"...)
}

// showRequest returns the lines of the request for display, without secrets.
func (t *requester) showRequest(fields []field) []Line {
	lines := []Line{{"GET " + t.target.shown + " HTTP/1.1", "RFC 6455 §4.1 (2): a GET, HTTP/1.1 at least"}}
	for _, f := range fields {
		lines = append(lines, Line{f.name + ": " + t.hide.value(f.name, f.value), f.note})
	}
	return append(lines, Line{"", "the empty line ends the head"})
}

// handshake sends the request on l and checks the response. rest contains the bytes received after the response.
func (t *tracer) handshake(l *link) (rest []byte, ok bool) {
	s := t.begin(StageRequest, "send the request")
	key, err := t.requester.newKey()
	if err != nil {
		s.OK = false
		t.fail(StageRequest, FaultInterrupted, "", "no random bytes for the key")
		t.end(s, "no random bytes for the key")
		return nil, false
	}
	fields := t.requester.fields(key, t.r.Target.Origin)
	s.Sent = t.requester.showRequest(fields)
	l.bound(t.step())
	n, err := l.send(t.requester.appendRequest(nil, fields))
	if err != nil { // a server may have responded without reading the whole request
		t.end(s, "the connection ended while the request was sent: "+shortError(err))
	} else {
		t.end(s, fmt.Sprintf("%d bytes", n))
	}
	t.r.Key = newKeyReport(key)
	return t.readAnswer(l, t.requester.sent(key))
}

// sent returns the parts of the request that are needed to check a response.
func (t *requester) sent(key string) *handshake.Request {
	r := &handshake.Request{Key: key, Subprotocols: t.subprotocols()}
	if !t.o.NoCompression {
		r.Extensions = []handshake.Extension{offer.Extension()}
	}
	return r
}
