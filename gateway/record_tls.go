package gateway

import (
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/handfast/handfast/gateway/internal/proxyproto"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

// tlsHints explain errors of crypto/tls, most of which can only be recognized by their text.
var tlsHints = []struct{ part, hint string }{
	{"unknown certificate authority", "the client does not trust the certificate's issuer: install the CA on the client, or serve the whole chain"},
	{"bad certificate", "the client does not accept the server's certificate: check its names, its dates and its chain"},
	{"bad record MAC", "the client aborted the handshake: with TLS 1.3, OpenSSL, as in curl, does so if it does not trust the " +
		"certificate's issuer: install the CA on the client, or serve the whole chain"},
	{"certificate has expired", "a certificate has expired: handfast explain shows which"},
	{"client didn't provide a certificate", "this listener requires a client certificate: configure one in the client"},
	{"failed to verify certificate", "the client's certificate was not issued by one of client_cas, or has expired"},
	{"client offered only unsupported versions", "the client's TLS is too old: update it, or lower min_version if it speaks 1.2"},
	{"no cipher suite supported by both", "the client supports only weak cipher suites: update it"},
	{"client requested unsupported application protocols", "the client does not offer HTTP/1.1 (ALPN): make it offer http/1.1"},
	{"unrecognized name", "there is no certificate for the host that the client named (SNI): add one to tls.files or tls.acme.hosts of the listener"},
}

// earlyHint returns the hint for a connection that failed before its first request.
func earlyHint(err *websocket.HandshakeError) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || err.Status == http.StatusRequestTimeout {
		limit := "http.tls_timeout"
		if err.Stage == wshandshake.StageRequest {
			limit = "http.head_timeout"
		}
		return "the client was too slow, or a proxy in between holds back its bytes; the limit is " + limit
	}
	if err.Stage == wshandshake.StageRequest {
		switch {
		case err.Status == http.StatusRequestHeaderFieldsTooLarge:
			return "cookies are the most frequent cause of a long request head: send fewer cookies, or raise http.max_head"
		case err.Hint != "":
			return err.Hint
		}
		return "check the client's request: handfast explain shows a valid one"
	}
	if err.Stage == wshandshake.StageProxy {
		if errors.Is(err, proxyproto.ErrMissing) {
			return "make the balancer send the PROXY protocol, or remove its address from proxy_protocol.from"
		}
		return "the balancer sends a malformed PROXY header"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err.Err); ok {
		return "the client did not speak TLS but, for example, plain HTTP: use https:// or wss://"
	}
	for _, h := range tlsHints {
		if strings.Contains(err.Err.Error(), h.part) {
			return h.hint
		}
	}
	return ""
}
