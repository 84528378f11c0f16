package auth

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/handfast/handfast/internal/redact"
)

// forwardReserved are fields that cannot be copied: fields for a single connection; fields that this server sets, and equivalent
// fields, with which a client could make false claims; and fields that change the form of the response.
var forwardReserved = []string{
	"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Port", "X-Forwarded-Proto",
	"X-Forwarded-Server", "X-Forwarded-Uri", "X-Original-Method", "X-Original-Uri", "X-Original-Url", "X-Real-Ip",
	"Accept-Encoding", "Content-Encoding", "Content-Type", "Expect", "If-Match", "If-Modified-Since", "If-None-Match",
	"If-Range", "If-Unmodified-Since", "Range",
}

// forwardable reports whether a field may be copied to the service.
func forwardable(name string) bool {
	return fieldName(name) && !slices.Contains(forwardReserved, textproto.CanonicalMIMEHeaderKey(name))
}

// fieldName reports whether s can be the name of a field (RFC 9110 §5.1).
func fieldName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// requestHeader returns the fields for the service about a request, and whether they contain a credential. In addition to the
// copied fields, they describe the client's request in the fields that Traefik (X-Forwarded-...) and nginx (X-Original-...)
// use; the client's own fields with these names are not passed on.
func (f *Forward) requestHeader(r *http.Request) (http.Header, bool) {
	h := http.Header{}
	credentials := false
	for i, name := range slices.Concat(f.o.Credentials, f.o.Headers) {
		name = textproto.CanonicalMIMEHeaderKey(name)
		values := r.Header.Values(name)
		if name == "Cookie" && f.o.Cookies != nil {
			values = f.cookies(r)
		}
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		if len(values) == 0 {
			continue
		}
		h[name] = values
		credentials = credentials || i < len(f.o.Credentials)
	}
	uri := r.URL.RequestURI()
	if !f.o.RawQuery {
		path, query, _ := strings.Cut(uri, "?")
		if uri = path; query != "" {
			uri += "?" + redact.Forwarded(query, f.o.Secrets...)
		}
	}
	h.Set("X-Forwarded-Method", r.Method)
	h.Set("X-Forwarded-Proto", f.o.Scheme(r))
	h.Set("X-Forwarded-Host", r.Host)
	h.Set("X-Forwarded-Uri", uri)
	h.Set("X-Forwarded-For", f.o.Address(r))
	h.Set("X-Original-Method", r.Method)
	h.Set("X-Original-Uri", uri)
	return h, credentials
}

// cookies returns a Cookie field with the cookies that are copied.
func (f *Forward) cookies(r *http.Request) []string {
	var pairs []string
	for _, name := range f.o.Cookies {
		for _, c := range r.CookiesNamed(name) {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	if pairs == nil {
		return nil
	}
	return []string{strings.Join(pairs, "; ")}
}
