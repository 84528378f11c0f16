package handshake

import (
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/internal/header"
)

// Opening is what the rules look at in a client's opening handshake, however its head was parsed: by net/http, or by a server of
// another kind. Every list holds the lines of one field in their order. The zero value is a request without anything, which
// breaks the rules. An Opening may be used again for another request, and then needs no new room for what it parses.
type Opening struct {
	Method       string // of the request line
	Target       string // as it is in the request line
	Major, Minor int    // of the HTTP version
	Host         string // value of the Host header; "" means there is none
	HostLines    int    // of the Host header, where they were counted; 0 is as good as 1
	Content      bool   // the request has content, or says so wrongly
	TLS          bool   // it came over TLS
	RemoteAddr   string // the peer's address and port; only for [OriginPolicy.Proxies]

	Upgrade, Connection, Expect        []string // the fields of these names
	TransferEncoding                   []string
	Key, Version, Protocol, Extensions []string // the fields whose names begin with Sec-WebSocket-
	Origin, Forwarded                  []string
	ForwardedFor, ForwardedProto       []string // the fields whose names begin with X-
	ForwardedHost                      []string
	offers                             []Extension // what Extensions says, once Check has read it
	room                               extensionList
}

// OpeningOf returns what the rules look at in a request that net/http has parsed.
func OpeningOf(r *http.Request) Opening {
	h := r.Header
	target := r.RequestURI
	if target == "" && r.URL != nil { // not every server sets it
		target = r.URL.RequestURI()
	}
	return Opening{
		Method: r.Method, Target: target, Major: r.ProtoMajor, Minor: r.ProtoMinor,
		// net/http has taken the Host out of the map by now; other servers leave it there.
		Host: r.Host, HostLines: len(h["Host"]),
		Content: r.ContentLength != 0,
		TLS:     r.TLS != nil, RemoteAddr: r.RemoteAddr,

		TransferEncoding: r.TransferEncoding, // net/http takes it out of the map, too

		Upgrade: h["Upgrade"], Connection: h["Connection"], Expect: h["Expect"],
		Key: h[fieldKey], Version: h[fieldVersion], Protocol: h[fieldProtocol], Extensions: h[fieldExtensions],
		Origin: h["Origin"], Forwarded: h["Forwarded"],
		ForwardedFor: h["X-Forwarded-For"], ForwardedProto: h["X-Forwarded-Proto"], ForwardedHost: h["X-Forwarded-Host"],
	}
}

// Reset forgets the request, and keeps the room.
func (o *Opening) Reset() {
	o.room.clear()
	room := o.room
	*o = Opening{} // cleared where it is: one literal with room in it would be made on the stack, and copied
	o.room = room
}

// Authority returns the host, and perhaps the port, that the request is for: those of the Host header, or of the target when
// it is in absolute form: the Host header does not count then (RFC 9112 §3.2.2), so that it cannot be made to match another
// page.
func (o *Opening) Authority() string {
	if !strings.HasPrefix(o.Target, "/") {
		if host, ok := targetAuthority(o.Target); ok {
			return host
		}
	}
	return o.Host
}

// IsUpgrade reports whether the request asks for a WebSocket, rightly or not. RFC 9110 §7.8: an Upgrade field in an HTTP/1.0
// request must be ignored, and HTTP/2 has none.
func (o *Opening) IsUpgrade() bool {
	return o.Method == http.MethodGet && o.Major == 1 && o.Minor >= 1 && header.HasToken(o.Upgrade, "websocket")
}

// Offers returns the extensions that the request offers, in the client's order of preference, once Check has found the
// request in order. The next Reset makes them invalid.
func (o *Opening) Offers() []Extension { return o.offers }

// Choose returns the one of the server's subprotocols, most preferred first, that the request offers too, and "" when
// there is none. The server's preference decides (RFC 6455 §4.2.2: "the server chooses"); case counts.
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
