package handshake

import "net/http"

// Stage is the step at which an opening handshake failed.
type Stage string

// The stages of a handshake, in order.
const (
	// StageRequest: the request itself. On the client, the URL or an option is invalid, or the request could not be sent. On the server,
	// the method, HTTP version, Host or body is invalid.
	StageRequest Stage = "request"

	StageDNS   Stage = "dns"   // the host name could not be resolved
	StageTCP   Stage = "tcp"   // no connection to the address
	StageProxy Stage = "proxy" // the proxy could not be reached, or rejected the request
	StageTLS   Stage = "tls"   // the TLS handshake failed

	// StageEvicted: on the server, the connection was closed because too many connections were in their handshake.
	StageEvicted Stage = "evicted"

	// StageStatus: the status line. On the client, the status line did not arrive, was not HTTP, or was not 101. On the server, the 101
	// could not be sent.
	StageStatus Stage = "status"

	StageHeader      Stage = "header"      // Upgrade, Connection, the version, or the syntax of the header
	StageKey         Stage = "key"         // Sec-WebSocket-Key or Sec-WebSocket-Accept
	StageSubprotocol Stage = "subprotocol" // Sec-WebSocket-Protocol
	StageExtension   Stage = "extension"   // Sec-WebSocket-Extensions
	StageOrigin      Stage = "origin"      // the page that sent the request; only on the server
	StageCheck       Stage = "check"       // the application's own check; only on the server
)

// Violation is a rule that the peer's part of the handshake violates.
type Violation struct {
	Stage   Stage
	Section string      // the clause: "RFC 6455 §4.2.1"
	Status  int         // on the server: the status of the response
	Header  http.Header // on the server: additional fields of the response; may be nil
	Detail  string      // description of the error; quotes no value that could be a secret
	Hint    string      // the next step; "" if Detail is sufficient
}

// Error returns the detail.
func (v *Violation) Error() string { return v.Detail }

// NextStep returns v.Hint.
func (v *Violation) NextStep() string { return v.Hint }

// proxyHint contains the directives that make nginx forward an upgrade. Their absence is the most frequent cause of a
// failed handshake.
const proxyHint = "a proxy on the way dropped the upgrade; with nginx: proxy_http_version 1.1; " +
	`proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";`
