package handshake

import (
	"errors"
	"net/http"
	"slices"

	"github.com/handfast/handfast/websocket/internal/header"
)

// Request is a client's opening handshake (RFC 6455 §4.1).
type Request struct {
	Target       string // path and query, which are the resource name of RFC 6455 §3
	Host         string
	Key          string
	Subprotocols []string // the offer, which CheckSubprotocols has accepted
	Extensions   []Extension
	Header       http.Header // additional fields that CheckFields has accepted; may be nil
}

// AppendHead appends the request's header, including the empty line.
func (r *Request) AppendHead(dst []byte) []byte {
	dst = append(append(dst, "GET "...), r.Target...)
	dst = append(append(dst, " HTTP/1.1\r\nHost: "...), r.Host...)
	dst = append(dst, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "...)
	dst = append(append(dst, r.Key...), "\r\nSec-WebSocket-Version: 13\r\n"...)
	for i, s := range r.Subprotocols {
		if i == 0 {
			dst = append(dst, "Sec-WebSocket-Protocol: "...)
		} else {
			dst = append(dst, ", "...)
		}
		dst = append(dst, s...)
	}
	if len(r.Subprotocols) > 0 {
		dst = append(dst, "\r\n"...)
	}
	dst = appendField(dst, "Sec-WebSocket-Extensions", FormatExtensions(r.Extensions))
	dst = appendFields(dst, r.Header)
	return append(dst, "\r\n"...)
}

// CheckSubprotocols enforces RFC 6455 §4.1 (10): the elements of the offer are tokens and "MUST all be unique strings".
func CheckSubprotocols(list []string) error {
	for i, s := range list {
		if !header.IsToken(s) {
			return errors.New("a subprotocol is not a token: letters, digits and !#$%&'*+-.^_`|~ only")
		}
		if slices.Contains(list[:i], s) {
			return errors.New("a subprotocol occurs twice in the list")
		}
	}
	return nil
}

// ValidHost reports whether s may be in a Host header.
func ValidHost(s string) bool {
	_, ok := parseAuthority(s)
	return ok
}
