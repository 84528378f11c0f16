package handshake

import (
	"errors"
	"net/http"
	"slices"

	"github.com/handfast/handfast/websocket/internal/header"
)

// Answer is the content of a server's 101 response.
type Answer struct {
	Key         string         // the client's Sec-WebSocket-Key
	Subprotocol string         // "" means none
	Extensions  string         // formatted for the header; "" means none
	Header      [2]http.Header // additional fields that CheckFields has accepted; both may be nil
}

// AppendHead appends the header of the 101 response, including the empty line (RFC 6455 §4.2.2 (5)).
func (a *Answer) AppendHead(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = append(dst, "Sec-WebSocket-Accept: "...)
	dst = AppendAccept(dst, header.Trim(a.Key))
	dst = append(dst, "\r\n"...)
	dst = appendField(dst, "Sec-WebSocket-Protocol", a.Subprotocol)
	dst = appendField(dst, "Sec-WebSocket-Extensions", a.Extensions)
	for _, h := range a.Header {
		dst = appendFields(dst, h)
	}
	return append(dst, "\r\n"...)
}

// appendField appends a field line, or nothing if the value is empty.
func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// appendFields appends all lines of h, ordered by name.
func appendFields(dst []byte, h http.Header) []byte {
	if len(h) == 0 {
		return dst
	}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			dst = append(append(dst, name...), ": "...)
			dst = append(append(dst, value...), "\r\n"...)
		}
	}
	return dst
}

// CheckFields reports the first field of h that must not be added to a handshake's header, on either side: a field that the handshake
// itself sends, a field that announces content, or an invalid field, which could terminate the line or the header early.
func CheckFields(h http.Header) error {
	for name, values := range h {
		if !header.IsToken(name) {
			return errors.New("a header name that is not a token")
		}
		if Reserved(name) {
			return errors.New("the header " + name + " belongs to the handshake and cannot be set")
		}
		if !slices.ContainsFunc(values, func(v string) bool { return !header.IsValue(v) }) {
			continue
		}
		return errors.New("the header " + name + " has a value with a control character or surrounding space")
	}
	return nil
}

// Reserved reports whether only the handshake itself may send a field of that name: the handshake's own fields (RFC 6455 §4.1, §4.2.2), and
// the fields that announce content (RFC 9110 §8.6, RFC 9112 §6.1).
func Reserved(name string) bool {
	const own = "sec-websocket-"
	if len(name) >= len(own) && header.EqualFold(name[:len(own)], own) {
		return true
	}
	return slices.ContainsFunc(reserved, func(r string) bool { return header.EqualFold(name, r) })
}

var reserved = []string{"upgrade", "connection", "content-length", "transfer-encoding", "trailer", "te", "expect", "http2-settings"}
