package handshake

import (
	"bytes"
	"net/http"
	"net/textproto"

	"github.com/handfast/handfast/websocket/internal/header"
)

// The limits for the data that a server may send before its final response.
const (
	maxHead    = 64 << 10 // length of one header, in bytes
	maxFields  = 256      // number of lines in one header
	maxInterim = 8        // number of interim responses, which have a status of 1xx other than 101
)

// Response is the header of a response.
type Response struct {
	Minor  int // minor version of HTTP/1
	Status int // 100 to 999
	Reason string
	Header http.Header // field names are in canonical form
}

// Head parses the header of a response as it arrives. The zero value is ready to use. The result does not depend on how the input is split.
// Interim responses (100, 103) are skipped, as RFC 9110 §15.2 requires.
//
// Head rejects ambiguous input that RFC 9112 permits a client to accept, and stops at the first byte that cannot be part of a response.
type Head struct {
	line    []byte // the received part of the current line
	size    int    // length of all previous lines
	fields  int
	r       *Response
	name    string // name of the previous field, which the next line may continue
	interim int    // number of skipped interim responses
}

// Feed parses b. When the header is complete, it returns the response and the rest of b. Until then the response is nil and all of
// b is consumed. After a violation or a response the Head must not be used again.
func (h *Head) Feed(b []byte) (r *Response, rest []byte, v *Violation) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		part := b
		if end >= 0 {
			part = b[:end+1]
		}
		b = b[len(part):]
		if v := h.appendToLine(part); v != nil {
			return nil, nil, v
		}
		if end < 0 {
			break
		}
		line := h.line[:len(h.line)-2]
		h.size += len(h.line)
		h.line = h.line[:0]
		if h.r == nil || len(line) > 0 {
			if v := h.readLine(line); v != nil {
				return nil, nil, v
			}
			continue
		}
		if h.r.Status >= 200 || h.r.Status == http.StatusSwitchingProtocols {
			return h.r, b, nil
		}
		if *h = (Head{line: h.line, interim: h.interim + 1}); h.interim > maxInterim {
			const detail = "more than 8 interim responses (1xx) before the final one"
			return nil, nil, headViolation(h, "RFC 9110 §15.2", detail)
		}
	}
	return nil, nil, nil
}

// appendToLine appends part to the current line, unless the line is already known to be invalid.
func (h *Head) appendToLine(part []byte) *Violation {
	was := len(h.line)
	h.line = append(h.line, part[:min(len(part), maxHead-h.size-was)]...)
	if h.r == nil && !mayStartStatus(h.line) {
		return notHTTP(h.line)
	}
	// RFC 9112 §2.2 permits a recipient to accept a bare LF as the end of a line. This parser accepts neither a bare LF nor a bare CR as
	// the end of a line.
	for i := max(was-1, 0); i < len(h.line); i++ {
		c := h.line[i]
		if c == '\n' && (i == 0 || h.line[i-1] != '\r') || c == '\r' && i+1 < len(h.line) && h.line[i+1] != '\n' {
			return headViolation(h, "RFC 9112 §2.2", "a line of the response head does not end in CR LF")
		}
	}
	if len(h.line) < was+len(part) {
		return headViolation(h, "RFC 9110 §5.4", "the response head is larger than 64 KiB")
	}
	return nil
}

func (h *Head) readLine(line []byte) *Violation {
	if h.r == nil {
		var wrong string
		if h.r, wrong = parseStatusLine(line); h.r == nil {
			return headViolation(h, "RFC 9112 §4", wrong)
		}
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		return h.continueField(line)
	}
	if h.fields++; h.fields > maxFields {
		return headViolation(h, "RFC 9110 §5.4", "the response head has more than 256 lines")
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return headViolation(h, "RFC 9112 §5", "a line of the response head has no colon")
	}
	text := string(line) // name and value are substrings of the line
	name, value := text[:colon], header.Trim(text[colon+1:])
	if !header.IsToken(name) { // RFC 9112 §5.1: "No whitespace is allowed between the field name and colon"
		return headViolation(h, "RFC 9112 §5.1", "a header name in the response is not a token")
	}
	if !header.IsValue(value) {
		return headViolation(h, "RFC 9110 §5.5", "a header value in the response contains a control character")
	}
	h.name = textproto.CanonicalMIMEHeaderKey(name)
	h.r.Header[h.name] = append(h.r.Header[h.name], value)
	return nil
}

// continueField adds a continuation line to the previous field: RFC 9112 §5.2, a user agent "MUST replace each received obs-fold with one or
// more SP octets".
func (h *Head) continueField(line []byte) *Violation {
	more := header.Trim(string(line))
	values := h.r.Header[h.name]
	if len(values) == 0 || !header.IsValue(more) {
		return headViolation(h, "RFC 9112 §5.2", "a line of the response head is a continuation without a field, or contains a control character")
	}
	last := &values[len(values)-1]
	*last = header.Trim(*last + " " + more)
	return nil
}

const statusPrefix = "HTTP/1."

// mayStartStatus reports whether line is, or may become, the status line of an HTTP/1 response.
func mayStartStatus(line []byte) bool {
	n := min(len(line), len(statusPrefix))
	return string(line[:n]) == statusPrefix[:n]
}

// parseStatusLine parses HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 §4). The second space may be
// missing if there is no reason. For any other line it returns nil and a description of the error.
func parseStatusLine(line []byte) (r *Response, wrong string) {
	const at = len(statusPrefix + "1 ")
	if len(line) < at || !digit(line[at-2]) || line[at-1] != ' ' {
		return nil, "the response's status line is not HTTP/1"
	}
	code, reason := line[at:min(at+3, len(line))], string(line[min(at+3, len(line)):])
	status := 0
	for _, c := range code {
		if !digit(c) {
			status = 0
			break
		}
		status = 10*status + int(c-'0')
	}
	if status < 100 || reason != "" && reason[0] != ' ' {
		return nil, "the status code is not a number from 100 to 999"
	}
	if reason = header.Trim(reason); !header.IsValue(reason) {
		return nil, "the reason phrase in the status line contains a control character"
	}
	return &Response{Minor: int(line[at-2] - '0'), Status: status, Reason: reason, Header: http.Header{}}, ""
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// notHTTP describes a response that does not begin like HTTP/1.
func notHTTP(b []byte) *Violation {
	v := &Violation{Stage: StageStatus, Section: "RFC 9112 §4", Detail: "the response is not HTTP/1"}
	switch {
	case b[0] == 0x15 || b[0] == 0x16: // a TLS record: alert, handshake
		v.Detail, v.Hint = "the response is a TLS record", "this port expects TLS: use wss://"
	case b[0] == 0:
		v.Hint = "if the server speaks HTTP/2 on this port, configure it to speak HTTP/1.1 too"
	case 'H' == b[0]:
		v.Hint = "WebSocket requires HTTP/1.1 on this port"
	default:
		v.Hint = "another service is listening on this port: check the address"
	}
	return v
}

func headViolation(h *Head, section, detail string) *Violation {
	stage := StageHeader
	if h.r == nil {
		stage = StageStatus
	}
	return &Violation{Stage: stage, Section: section, Detail: detail}
}
