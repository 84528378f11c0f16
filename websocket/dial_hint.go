package websocket

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/handfast/handfast/websocket/handshake"
)

// timeoutHint returns the most likely cause of a timeout.
func timeoutHint(s handshake.Stage) string {
	switch s {
	case handshake.StageDNS:
		return "the name server does not respond"
	case handshake.StageTCP:
		return "the address does not respond: it is wrong, the host is down, or a firewall drops the packets"
	case handshake.StageProxy:
		return "the proxy does not respond, or cannot reach the server"
	case handshake.StageTLS:
		return "the port accepts connections but does not speak TLS, or the server is overloaded"
	default:
		return "the port accepts connections but does not respond to HTTP: it expects TLS, belongs to another service, or the server is overloaded"
	}
}

// tlsHint returns the next step after a failed TLS handshake.
func tlsHint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return handshake.HintClientRootCAs
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return handshake.HintClientServerName
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the server's certificate is expired or not valid yet: renew it, or check this machine's clock"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the port does not speak TLS: use ws://, or another port"
	}
	if alert, ok := remoteAlert(err); ok {
		return alertHint(alert)
	}
	return ""
}

// remoteAlert returns the alert with which the server ended the TLS connection. crypto/tls does not export the type of an alert, so
// the alert is recognized by its text.
func remoteAlert(err error) (string, bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return "", false
	}
	return op.Err.Error(), true
}

// alertHint returns the next step after the server ended the TLS handshake with an alert (RFC 8446 §6).
func alertHint(alert string) string {
	switch {
	case strings.Contains(alert, "protocol version"):
		return "the server and this client have no TLS version in common: enable TLS 1.2 or later on the server"
	case strings.Contains(alert, "application protocol"):
		return "the server does not speak HTTP/1.1 on this port, which WebSocket requires: enable it there"
	case strings.Contains(alert, "unrecognized name"):
		return "the server has no certificate for this host name"
	default: // the certificate alerts, and handshake_failure, which many servers send instead
		return handshake.HintClientCertificate
	}
}

// proxyHint returns the next step after a proxy refused a tunnel.
func proxyHint(r *handshake.Response) string {
	switch r.Status {
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return "the proxy does not allow a tunnel to that host or port: many allow only port 443, so use wss://"
	case http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusServiceUnavailable:
		return "the proxy could not reach the server"
	case http.StatusProxyAuthRequired:
		return handshake.StatusHint(r)
	}
	return "check that the address is a proxy, and that it allows CONNECT"
}
