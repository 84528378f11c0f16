package opening

import (
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/header"
)

// kind identifies a field that the rules need.
type kind uint8

const (
	kindNone kind = iota
	kindHost
	kindUpgrade
	kindConnection
	kindExpect
	kindKey
	kindVersion
	kindProtocol
	kindExtensions
	kindOrigin
	kindForwarded
	kindForwardedFor
	kindForwardedProto
	kindForwardedHost
	kindContentLength
	kindTransferEncoding
	kindCount
)

// fieldNames are the fields' names in lower case.
var fieldNames = [kindCount]string{
	kindHost:             "host",
	kindUpgrade:          "upgrade",
	kindConnection:       "connection",
	kindExpect:           "expect",
	kindKey:              "sec-websocket-key",
	kindVersion:          "sec-websocket-version",
	kindProtocol:         "sec-websocket-protocol",
	kindExtensions:       "sec-websocket-extensions",
	kindOrigin:           "origin",
	kindForwarded:        "forwarded",
	kindForwardedFor:     "x-forwarded-for",
	kindForwardedProto:   "x-forwarded-proto",
	kindForwardedHost:    "x-forwarded-host",
	kindContentLength:    "content-length",
	kindTransferEncoding: "transfer-encoding",
}

// kindsByLength contains the kinds for each length of a name, because most names differ in length.
var kindsByLength = func() (t [25][]kind) {
	for k, name := range fieldNames[1:] {
		t[len(name)] = append(t[len(name)], kind(k+1))
	}
	return t
}()

func kindOf(name string) kind {
	if len(name) < len(kindsByLength) {
		for _, k := range kindsByLength[len(name)] {
			if header.EqualFold(name, fieldNames[k]) {
				return k
			}
		}
	}
	return kindNone
}

// fieldLine parses field-name ":" OWS field-value OWS (RFC 9112 §5).
func (h *Head) fieldLine(text string, line span) *handshake.Violation {
	if h.lines++; h.lines > h.limits.Lines {
		return tooLarge("the request has more header lines than the server accepts")
	}
	s := line.slice(text)
	if s[0] == ' ' || s[0] == '\t' {
		// RFC 9112 §5.2: a server "MUST either reject the message by sending a 400 (Bad Request), preferably with a
		// representation explaining that obsolete line folding is unacceptable, or replace each received obs-fold".
		return malformed("RFC 9112 §5.2", "a header line begins with white space: obsolete line folding is not accepted")
	}
	colon := strings.IndexByte(s, ':')
	if colon < 0 {
		return malformed("RFC 9112 §5", "a line of the request head has no colon")
	}
	// RFC 9112 §5.1: "A server MUST reject, with a response status code of 400 (Bad Request), any received request message
	// that contains whitespace between a header field name and colon."
	if !header.IsToken(s[:colon]) {
		return malformed("RFC 9112 §5.1", "a header name is not a token, or is followed by white space")
	}
	from, to := trim(s, colon+1)
	value := s[from:to]
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f { // RFC 9110 §5.5; this includes CR
			return malformed("RFC 9110 §5.5", "a header value contains a control character")
		}
	}
	k := kindOf(s[:colon])
	switch k {
	case kindNone:
		return nil
	case kindContentLength:
		return h.contentLength(value)
	case kindTransferEncoding: // RFC 9112 §6.3: whatever its value, the request is treated as one with content
		h.content = true
	}
	h.kinds |= 1 << k
	h.fields = append(h.fields, field{k, span{line.from + from, line.from + to}})
	return nil
}

// trim returns the start and end of the part of s from index from, without surrounding spaces and tabs.
func trim(s string, from int) (int, int) {
	to := len(s)
	for from < to && (s[from] == ' ' || s[from] == '\t') {
		from++
	}
	for to > from && (s[to-1] == ' ' || s[to-1] == '\t') {
		to--
	}
	return from, to
}

// contentLength parses 1*DIGIT (RFC 9110 §8.6). Any number above 0 is reported as content, so that Check rejects the
// request. After a value of 0, every further value must have the same number of digits.
func (h *Head) contentLength(value string) *handshake.Violation {
	valid := value != "" && (h.lengthDigits == 0 || h.lengthDigits == len(value))
	for i := range len(value) {
		valid = valid && isDigit(value[i])
		h.content = h.content || value[i] != '0'
	}
	if !valid { // RFC 9112 §6.3: "the server MUST respond with a 400 (Bad Request) status code"
		return malformed("RFC 9112 §6.3", "the Content-Length is not a single number")
	}
	if !h.content {
		h.lengthDigits = len(value)
	}
	return nil
}
