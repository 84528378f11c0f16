package opening

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// FromHTTP returns the refusal for an error response that net/http has written by itself, before any handler received the request.
// It returns nil if reply is not the beginning of an error response.
func FromHTTP(reply []byte) *Refusal {
	head, body, _ := bytes.Cut(reply, []byte("\r\n\r\n"))
	if len(head) < len("HTTP/1.1 400") || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return nil
	}
	status, _ := strconv.Atoi(string(head[9:12])) // 0 if it is not a number
	if status < 400 {
		return nil
	}
	_, detail, _ := strings.Cut(string(body[:min(len(body), 256)]), ": ")
	return Violated(httpViolation(status, detail))
}

// httpViolation returns the rule that a request has violated, according to the status and text of net/http's response.
func httpViolation(status int, detail string) *handshake.Violation {
	v := &handshake.Violation{Stage: handshake.StageRequest, Status: status, Detail: detail}
	switch status {
	case http.StatusBadRequest:
		v.Section, v.Detail = httpDetail(detail)
	case http.StatusExpectationFailed:
		v.Section, v.Detail, v.Hint = "RFC 9110 §10.1.1", "the server supports no expectation other than 100-continue", "leave out the Expect header"
	case http.StatusRequestHeaderFieldsTooLarge:
		return tooLarge("the request's head is longer than the server accepts")
	case http.StatusNotImplemented:
		v.Section, v.Detail = "RFC 9112 §6.1", "the request has a transfer coding other than chunked, or more than one"
	case http.StatusHTTPVersionNotSupported:
		v.Section, v.Detail, v.Hint = "RFC 9110 §15.6.6", "the server does not support the HTTP version of the request", "use HTTP/1.1"
	}
	if v.Detail == "" {
		v.Detail = "the request cannot be answered"
	}
	return v
}

// httpDetail returns the clause that a malformed request violates and a description, according to the text of net/http's response.
func httpDetail(words string) (section, detail string) {
	switch words {
	case "missing required Host header", "malformed Host header":
		return "RFC 9112 §3.2", "the Host header is missing or malformed"
	case "":
		return "RFC 9112 §2.1", "the request line, a header line or the length of the content is malformed, or there is more than one Host header"
	}
	return "RFC 9112 §2.1", words
}
