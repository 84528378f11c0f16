package handshake

import (
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// Opening has the parts of a client's opening handshake that the rules check, whether net/http or another kind of server has parsed
// the header. Every list contains the lines of one field in order. The zero value is an empty request, which violates the rules. An
// Opening can be reused for another request without allocating again.
type Opening struct {
	Method       string // of the request line
	Target       string // as on the request line
	Major, Minor int    // of the HTTP version
	Host         string // value of the Host header; "" means there is none
	HostLines    int    // the number of Host header lines, if they were counted; 0 is treated as 1
	Content      bool   // the request has content, or invalid fields about it
	TLS          bool   // the request was received over TLS
	RemoteAddr   string // the peer's address and port; only for [OriginPolicy.Proxies]

	Upgrade, Connection, Expect        []string // the fields of these names
	TransferEncoding                   []string
	Key, Version, Protocol, Extensions []string // the fields whose names begin with Sec-WebSocket-
	Origin, Forwarded                  []string
	ForwardedFor, ForwardedProto       []string // the fields whose names begin with X-
	ForwardedHost                      []string
	offers                             []Extension // the parsed Extensions, after Check
	room                               extensionList
}

// OpeningOf returns the Opening of a request that net/http has parsed.
func OpeningOf(r *http.Request) Opening {
	h := r.Header
	target := r.RequestURI
	if target == "" && r.URL != nil { // not every server sets it
		target = r.URL.RequestURI()
	}
	return Opening{
		Method: r.Method, Target: target, Major: r.ProtoMajor, Minor: r.ProtoMinor,
		// net/http has removed Host from the map already; other servers leave it there.
		Host: r.Host, HostLines: len(h["Host"]),
		Content: r.ContentLength != 0,
		TLS:     r.TLS != nil, RemoteAddr: r.RemoteAddr,

		TransferEncoding: r.TransferEncoding, // net/http removes it from the map, too

		Upgrade: h["Upgrade"], Connection: h["Connection"], Expect: h["Expect"],
		Key: h[fieldKey], Version: h[fieldVersion], Protocol: h[fieldProtocol], Extensions: h[fieldExtensions],
		Origin: h["Origin"], Forwarded: h["Forwarded"],
		ForwardedFor: h["X-Forwarded-For"], ForwardedProto: h["X-Forwarded-Proto"], ForwardedHost: h["X-Forwarded-Host"],
	}
}

// Reset clears the request, and keeps the memory.
func (o *Opening) Reset() {
	o.room.clear()
	room := o.room
	*o = Opening{} // cleared in place: a single literal that includes the kept slices would be built on the stack, and copied
	o.room = room
}

// Authority returns the host, and perhaps the port, that the request is for: those of the Host header, or of a target in absolute
// form. In that case the Host header is ignored (RFC 9112 §3.2.2), so that it cannot be set to match another page.
func (o *Opening) Authority() string {
	if !strings.HasPrefix(o.Target, "/") {
		if host, ok := targetAuthority(o.Target); ok {
			return host
		}
	}
	return o.Host
}

// IsUpgrade reports whether the request asks for a WebSocket, validly or not. RFC 9110 §7.8: an Upgrade field in an HTTP/1.0
// request must be ignored, and HTTP/2 has none.
func (o *Opening) IsUpgrade() bool {
	return o.Method == http.MethodGet && o.Major == 1 && o.Minor >= 1 && header.HasToken(o.Upgrade, "websocket")
}

// Offers returns the extensions that the request offers, in the client's order of preference, after Check has returned nil. They
// are valid until the next Reset.
func (o *Opening) Offers() []Extension { return o.offers }

// Choose returns the first of the server's subprotocols, in order of preference, that the request offers too, and "" if there is
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
