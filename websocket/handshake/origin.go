package handshake

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// Origin is a web origin (RFC 6454 §4). An Origin is comparable: it is in lower case, and contains the port even if it is the default port
// of the scheme.
type Origin struct {
	Scheme string // "" for an opaque origin
	Host   string // without brackets; "null" for an opaque origin
	Port   string // "" if the scheme has no default port and the origin contains none
}

// opaque is the origin that browsers send as "null" (RFC 6454 §7.1). All pages with an opaque origin share this value.
var opaque = Origin{Host: "null"}

// ParseOrigin parses an origin in its ASCII form, scheme://host or scheme://host:port, or "null". A path, even "/", and user
// information are not allowed. For a scheme other than http, https, ws and wss the host may be empty ("file://").
func ParseOrigin(s string) (Origin, bool) {
	if s == opaque.Host {
		return opaque, true
	}
	scheme, authority, ok := strings.Cut(s, "://")
	if !ok || !validScheme(scheme) {
		return Origin{}, false
	}
	o := Origin{Scheme: header.Lower(scheme)}
	if authority == "" && defaultPort(o.Scheme) == "" {
		return o, true
	}
	a, ok := parseAuthority(authority)
	if !ok {
		return Origin{}, false
	}
	return o.withAuthority(a), true
}

// withAuthority returns an origin with the scheme of o, and the host and port of a.
func (o Origin) withAuthority(a authority) Origin {
	o.Host, o.Port = a.host, a.port
	if o.Port == "" {
		o.Port = defaultPort(o.Scheme)
	}
	return o
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// validScheme reports whether s is ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) (RFC 3986 §3.1).
func validScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if 'a' <= c && c <= 'z' || i > 0 && ('0' <= s[i] && s[i] <= '9' || strings.IndexByte("+-.", s[i]) >= 0) {
			continue
		}
		return false
	}
	return s != ""
}

// OriginPolicy determines which web pages may connect.
type OriginPolicy struct {
	Any     bool           // all pages
	Allowed []string       // the origins whose pages may connect, in addition to pages of the same origin
	Proxies []netip.Prefix // proxies that are trusted to report the scheme and host that the browser used
}

// CheckOrigin is like [Opening.CheckOrigin], for a request that net/http has parsed.
func CheckOrigin(r *http.Request, p OriginPolicy) *Violation {
	o := OpeningOf(r)
	return o.CheckOrigin(p)
}

// CheckOrigin returns the reason why the page that sent the request must not connect. It returns nil if the page may connect, or if
// the request does not come from a page: only browsers send the field, and they always do (RFC 6455 §4.2.2 (4), §10.2).
func (o *Opening) CheckOrigin(p OriginPolicy) *Violation {
	lines := o.Origin
	if len(lines) == 0 || p.Any {
		return nil
	}
	if len(lines) > 1 {
		return originViolation("there is more than one Origin header", "")
	}
	seen := header.Trim(lines[0])
	origin, ok := ParseOrigin(seen)
	if !ok {
		return originViolation("the Origin header "+quoteOrigin(seen)+" is not one origin, scheme://host or scheme://host:port", "")
	}
	own := requestOrigin(o, p.Proxies)
	if origin == own {
		return nil
	}
	for i, s := range p.Allowed {
		allowed, ok := ParseOrigin(s)
		if !ok {
			const detail = "entry %d of the allowed origins is not scheme://host, scheme://host:port or null"
			v := originViolation(fmt.Sprintf(detail, i), HintServerOrigins)
			v.Status, v.Section = http.StatusInternalServerError, ""
			return v
		}
		if origin == allowed {
			return nil
		}
	}
	if origin.Scheme == "https" && own.Scheme == "http" && origin.Host == own.Host {
		return originViolation("the page of "+quoteOrigin(seen)+" was loaded over https, but this request arrived here without TLS",
			HintServerProxy)
	}
	return originViolation("pages of the origin "+quoteOrigin(seen)+" may not connect here", HintServerOrigin)
}

// PrintableOrigin returns the part of an Origin header field that may be displayed and logged: without user information, query and
// fragment. A valid origin contains none of these (RFC 6454 §7.1), but a client that is not a browser may send a secret in them.
func PrintableOrigin(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i+1] + "..."
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		scheme, _, ok := strings.Cut(s[:i], "://")
		s = "..." + s[i:]
		if ok && validScheme(scheme) {
			s = scheme + "://" + s
		}
	}
	return s
}

// quoteOrigin formats an Origin header for a response and a log. An operator may add the result to the allowed origins, but any client may have
// sent the value, so the result is quoted and truncated.
func quoteOrigin(origin string) string {
	origin = PrintableOrigin(origin)
	const maxLen = 128
	if len(origin) > maxLen {
		return strconv.QuoteToASCII(origin[:maxLen]) + "..."
	}
	return strconv.QuoteToASCII(origin)
}

func originViolation(detail, hint string) *Violation {
	return &Violation{
		Stage: StageOrigin, Section: "RFC 6455 §10.2", Status: http.StatusForbidden, Detail: detail, Hint: hint,
	}
}

// requestOrigin returns the origin to which the request was sent.
func requestOrigin(o *Opening, proxies []netip.Prefix) Origin {
	scheme, host := "http", o.Authority()
	if o.TLS {
		scheme = "https"
	}
	if len(proxies) > 0 {
		f := forwarded(o, proxies)
		if f.Proto != "" {
			scheme = f.Proto
		}
		if f.Host != "" {
			host = f.Host
		}
	}
	a, _ := parseAuthority(host)
	return Origin{Scheme: scheme}.withAuthority(a)
}
