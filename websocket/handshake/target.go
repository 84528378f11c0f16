package handshake

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// Target is the destination of a client's handshake (RFC 6455 §3).
type Target struct {
	Secure bool     // wss or https
	Name   string   // the host, in ASCII, without brackets; an IPv6 address may have a zone
	Port   string   // never ""
	URI    string   // the resource name: path and query
	Auth   string   // value of the Authorization header made from the user information; "" means none
	URL    *url.URL // the URL with the scheme http or https and without user information, for proxies and cookie jars
}

// ParseTarget parses a ws, wss, http or https URL. A violation does not quote the URL, which may contain passwords and tokens.
func ParseTarget(raw string) (*Target, *Violation) {
	// RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used".
	if strings.Contains(raw, "#") {
		return nil, badURL("the URL has a fragment", `leave "#…" out, or write "#" as %23`)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, badURL("the URL cannot be parsed", "check its host, its port and its percent signs")
	}
	return newTarget(u)
}

// Resolve resolves a Location header in a response from t: a URL, which may be relative to t's URL. A fragment is dropped.
func (t *Target) Resolve(location string) (*Target, *Violation) {
	u, err := t.URL.Parse(location)
	if err != nil {
		return nil, badURL("the Location of a redirect cannot be parsed", "")
	}
	return newTarget(u)
}

func newTarget(u *url.URL) (*Target, *Violation) {
	t := &Target{}
	switch u.Scheme { // url.Parse has converted the scheme to lower case
	case "ws", "http":
		t.Port = "80"
	case "wss", "https":
		t.Secure, t.Port = true, "443"
	default:
		return nil, badURL("the URL's scheme is not ws, wss, http or https", "use ws:// or wss://")
	}
	var ok bool
	if t.Name, ok = hostName(u.Hostname()); !ok {
		return nil, badURL("the URL has no host, or an invalid one", "write it as ws://host/path")
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return nil, badURL("the URL's port is not between 1 and 65535", "")
		}
		t.Port = strconv.FormatUint(n, 10)
	}
	t.URI = requestURI(u)
	if u.User != nil {
		password, _ := u.User.Password()
		t.Auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)) // RFC 7617 §2
	}
	_, query, _ := strings.Cut(t.URI, "?")
	t.URL = &url.URL{
		Scheme: "http", Host: t.Host(),
		Path: u.Path, RawPath: u.RawPath, RawQuery: query, ForceQuery: u.ForceQuery,
	}
	if t.Secure {
		t.URL.Scheme = "https"
	}
	return t, nil
}

// hostName checks the result of url.URL.Hostname, and converts it to ASCII.
func hostName(host string) (string, bool) {
	if strings.Contains(host, ":") { // an IPv6 address, which was enclosed in brackets
		addr, zone, zoned := strings.Cut(host, "%")
		if _, err := netip.ParseAddr(addr); err != nil || zoned && !validName(zone) {
			return host, false
		}
		return header.Lower(addr) + host[len(addr):], true // RFC 6874 §2: a zone is a local name, and keeps its case
	}
	host, ok := asciiHost(host)
	return header.Lower(host), ok && validName(host)
}

// requestURI returns the path and query for the request line. It escapes characters that url.Parse allows in a query, but that a
// request line must not contain: RFC 6455 §11.1.1, characters "MUST be converted ... using their percent-encoded form".
func requestURI(u *url.URL) string {
	uri := u.RequestURI()
	var b strings.Builder
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^{|}`+"`", c) >= 0 {
			const hex = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(uri[i])
	}
	return b.String()
}

// Host returns the value of the Host header: RFC 6455 §4.1, /host/ plus /port/ "when not using the default port".
func (t *Target) Host() string {
	host := t.Name
	if strings.Contains(host, ":") {
		host, _, _ = strings.Cut(host, "%") // RFC 6874 §4: a zone is only meaningful on this host
		host = "[" + host + "]"
	}
	if t.Port == "80" && !t.Secure || t.Port == "443" && t.Secure {
		return host
	}
	return host + ":" + t.Port
}

// SameOrigin reports whether a secret for t may also be sent to o.
func (t *Target) SameOrigin(o *Target) bool {
	return t.Secure == o.Secure && t.Name == o.Name && t.Port == o.Port
}

// IsRedirect reports whether a client may follow the Location of a response with this status.
func IsRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func badURL(detail, hint string) *Violation {
	return &Violation{Stage: StageRequest, Section: "RFC 6455 §3", Detail: detail, Hint: hint}
}
