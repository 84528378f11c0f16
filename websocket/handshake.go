package websocket

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// Handshake is the result of the opening handshake. It is read-only: its maps and pointers are shared by all callers.
type Handshake struct {
	Proto       string               // "HTTP/1.1"
	URL         *url.URL             // of the request; on the client the URL whose response was 101, without user information
	Header      http.Header          // the peer's header: on the server the request's, on the client the response's
	Subprotocol string               // "" means none
	Extensions  string               // the value of the response's Sec-WebSocket-Extensions header; "" means none
	RemoteAddr  string               // the address of the peer, or of the last proxy on the way, as net.Conn reports it
	TLS         *tls.ConnectionState // nil means that this end did not use TLS

	lazy *lazyHandshake // data from which the remaining fields are filled in on demand; nil if they are complete
}

// HandshakeError describes why an opening handshake failed. It contains no secret of the caller: no user information, no query, no
// header of the request.
type HandshakeError struct {
	Stage   handshake.Stage
	Section string      // the violated clause, such as "RFC 6455 §4.1"; "" if there is none
	Status  int         // of the server's or the proxy's response; on the server, of the reply; 0 means that there was none
	Header  http.Header // of that response; on the server, the fields that this failure added to the reply; nil means none
	Body    []byte      // the body of that response or reply, at most the first 1024 bytes
	Hint    string      // the next step, as a text for the user; "" means that none is known
	Err     error       // the cause; may be a net, tls, x509 or context error, or the error of Check or Admit

	// Redirected is the URL that failed, without its query, after redirects; "" without redirects.
	Redirected string
}

// Error returns the stage, the cause, the clause and the next step.
func (e *HandshakeError) Error() string {
	s := "websocket: handshake failed"
	if e.Stage != "" {
		s += " (" + string(e.Stage) + ")"
	}
	if e.Redirected != "" {
		s += " after a redirect to " + e.Redirected
	}
	if e.Err != nil {
		s += ": " + strings.TrimPrefix(e.Err.Error(), "websocket: ")
	}
	if e.Section != "" {
		s += " [" + e.Section + "]"
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns e.Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// NextStep returns e.Hint, for programs that show the next step of any error that has one.
func (e *HandshakeError) NextStep() string { return e.Hint }

// Reject is an error that [AcceptOptions.Check] or [Endpoint.Admit] returns to set the reply.
type Reject struct {
	// Status is the status code of the reply, 300 to 599. 0 means 403; any other value is an error and becomes 500.
	Status int

	// Header is added to the reply, for example Retry-After or WWW-Authenticate. It may be nil.
	Header http.Header

	// Reason is the body of the reply, which is sent to the client. It is plain text unless Header contains a Content-Type. ""
	// means the name of the status.
	Reason string
}

// Error returns the status and the reason.
func (r *Reject) Error() string {
	s := fmt.Sprintf("rejected with %d", r.status())
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

func (r *Reject) status() int {
	switch {
	case r.Status == 0:
		return http.StatusForbidden
	case r.Status < 300 || r.Status > 599:
		return http.StatusInternalServerError
	}
	return r.Status
}

// violated returns the HandshakeError for a broken rule.
func violated(v *handshake.Violation) *HandshakeError {
	return &HandshakeError{Stage: v.Stage, Section: v.Section, Status: v.Status, Hint: v.Hint, Err: v}
}
