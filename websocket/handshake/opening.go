package handshake

import (
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// Opening contains the parts of a client's opening handshake that the rules check, whether net/http or another kind of server has
// parsed the header. Every list contains the lines of one field in order. The zero value is an empty request, which violates the
// rules. An Opening can be reused for another request without further allocations.
type Opening struct {
	Method       string // the method of the request line
	Target       string // the target, as in the request line
	Major, Minor int    // the numbers of the HTTP version
	Host         string // value of the Host header; "" means that it is missing
	HostLines    int    // number of Host header lines, if they were counted; 0 is treated as 1
	Content      bool   // the request contains content, or invalid fields that describe it
	TLS          bool   // the request was received over TLS
	RemoteAddr   string // the peer's address and port; used only for [OriginPolicy.Proxies]

	Upgrade, Connection, Expect        []string // the values of the fields of these names
	TransferEncoding                   []string
	Key, Version, Protocol, Extensions []string // the values of the fields whose names begin with Sec-WebSocket-
	Origin, Forwarded                  []string
	ForwardedFor, ForwardedProto       []string // the values of the fields whose names begin with X-
	ForwardedHost                      []string
	offers                             []Extension // the parsed Extensions, after Check
	offersBuf                          extensionList
}

// OpeningOf returns the Opening of a request that net/http has parsed.
func OpeningOf(r *http.Request) Opening {
	h := r.Header
	target := r.RequestURI
	if target == "" && r.URL != nil { // not set by every server
		target = r.URL.RequestURI()
	}
	return Opening{
		Method: r.Method, Target: target, Major: r.ProtoMajor, Minor: r.ProtoMinor,
		// net/http has already removed Host from the map. Other servers do not remove it.
		Host: r.Host, HostLines: len(h["Host"]),
		Content: r.ContentLength != 0,
		TLS:     r.TLS != nil, RemoteAddr: r.RemoteAddr,

		TransferEncoding: r.TransferEncoding, // net/http removes this field from the map, too

		Upgrade: h["Upgrade"], Connection: h["Connection"], Expect: h["Expect"],
		Key: h[fieldKey], Version: h[fieldVersion], Protocol: h[fieldProtocol], Extensions: h[fieldExtensions],
		Origin: h["Origin"], Forwarded: h["Forwarded"],
		ForwardedFor: h["X-Forwarded-For"], ForwardedProto: h["X-Forwarded-Proto"], ForwardedHost: h["X-Forwarded-Host"],
	}
}

// Reset clears the request, and retains the memory.
func (o *Opening) Reset() {
	o.offersBuf.clear()
	room := o.offersBuf
	*o = Opening{} // cleared in place: a single literal that includes the retained slices would be built on the stack, and copied
	o.offersBuf = room
}

// Authority returns the host, optionally with a port, to which the request is addressed: the authority of a target in absolute form, or
// otherwise the Host header. With a target in absolute form the Host header is ignored (RFC 9112 §3.2.2), so that a client cannot set it to
// match the origin of another page.
func (o *Opening) Authority() string {
	if !strings.HasPrefix(o.Target, "/") {
		if host, ok := targetAuthority(o.Target); ok {
			return host
		}
	}
	return o.Host
}

// IsUpgrade reports whether the request is for a WebSocket connection, valid or not. RFC 9110 §7.8: an Upgrade field in an HTTP/1.0 request
// must be ignored, and HTTP/2 has no such field.
func (o *Opening) IsUpgrade() bool {
	return o.Method == http.MethodGet && o.Major == 1 && o.Minor >= 1 && header.HasToken(o.Upgrade, "websocket")
}

// Offers returns the extensions that the request offers, in the client's order of preference. Check must have returned nil before. The
// result is valid until the next Reset.
func (o *Opening) Offers() []Extension { return o.offers }

// Choose returns the first of the server's subprotocols, in order of preference, that the request offers too, or "" if there is
// none. The server's preference decides (RFC 6455 §4.2.2: "the server chooses"). The comparison is case-sensitive.
func (o *Opening) Choose(preferred []string) string {
	if len(o.Protocol) > 0 {
		for _, s := range preferred {
			if header.Contains(o.Protocol, s) {
				return s
			}
		}
	}
	return ""
}
