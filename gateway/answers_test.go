package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// If a request is rejected before it reaches a handler, the response body, the log, the audit log, the metrics and the list of
// refused handshakes contain the reason, with the configuration keys.
func TestResponsesBeforeAnyHandler(t *testing.T) {
	r := run(t, parse(t, "http: {head_timeout: 300ms, max_head: 1KiB}\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]"))
	to := strings.TrimPrefix(r.URLs()[0], "http://")
	for _, tt := range []struct {
		name, request string
		status        int
		body, hint    string
	}{
		{"a request line", "GET /open\r\n\r\n", 400, "request line", "handfast explain"},
		{"no Host", "POST /open HTTP/1.1\r\n\r\n", 400, "Host header is missing", "handfast explain"},
		{"no Host in a handshake", strings.Replace(strings.Replace(missed, "/missing", "/open", 1), "Host: localhost\r\n", "", 1), 400, "Host header is missing", ""},
		{"a header line", "POST /open HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", 400, "header line", "handfast explain"},
		{"two Hosts", "POST /open HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "more than one Host header", "handfast explain"},
		{"two codings", "POST /open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, "more than one", ""},
		{"another coding", "POST /open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "other than chunked", ""},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/2 with prior knowledge is not supported", "use HTTP/1.1"},
		{"a target for OPTIONS", "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "only for OPTIONS", "path"},
		{"a large head", strings.Replace(missed, "\r\n\r\n", "\r\nCookie: "+strings.Repeat("x", 16<<10)+"\r\n\r\n", 1), 431, "longer", "http.max_head"},
		{"a version", "GET /open HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "HTTP version", "use HTTP/1.1"},
		{"an expectation", "POST /open HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n", 417, "100-continue", "Expect"},
		{"half a handshake", missed[:60], 408, "in time", "http.head_timeout"},
		{"half a request", "POST /open HTTP/1.1\r\nHost: loc", 408, "in time", "http.head_timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(r.rec.refused.List())
			b, err := io.ReadAll(send(t, to, "127.0.0.8", tt.request))
			if line := fmt.Sprintf("HTTP/1.1 %d %s\r\n", tt.status, http.StatusText(tt.status)); err != nil || !strings.HasPrefix(string(b), line) ||
				!strings.Contains(string(b), tt.body) {
				t.Errorf("%q, %v", b, err)
			}
			bounded.Until(t, func() bool { return len(r.rec.refused.List()) > before })
			got := r.rec.refused.List()[0]
			if got.Status != tt.status || got.Stage != "request" || !strings.Contains(got.Reason, tt.body) || !strings.Contains(got.Hint, tt.hint) {
				t.Errorf("remembered %+v", got)
			}
			waitForLog(t, &r.audited, `"refused"`, fmt.Sprintf(`"status":%d`, tt.status), tt.body)
		})
	}
	waitForLog(t, &r.log, "status=431", "http.max_head")
	waitForLog(t, &r.log, "status=408", "http.head_timeout")
}

// A flood of bad requests does not flood the log: the first few are logged individually, and the others are counted.
func TestBadRequestsDoNotFloodTheLog(t *testing.T) {
	r := run(t, parse(t, "endpoints: [{path: /open, target: echo, auth: [anonymous]}]"))
	to := strings.TrimPrefix(r.URLs()[0], "http://")
	const n = 60
	for range n {
		if got := readStatus(t, send(t, to, "127.0.0.8", "GET /open HTTP/3.0\r\nHost: localhost\r\n\r\n")); got != 505 {
			t.Fatalf("status %d", got)
		}
	}
	bounded.Until(t, func() bool { return strings.Count(r.audited.String(), `"status":505`) == n })
	r.rec.flushFloods()
	if lines := strings.Count(r.log.String(), "status=505"); lines > n/2 || !strings.Contains(r.log.String(), "more=") {
		t.Errorf("%d lines for %d requests:\n%s", lines, n, r.log.String())
	}
}

// A failed TLS handshake is recorded with the reason and a hint: the client is too old, does not trust the certificate,
// offers another protocol, or is silent.
func TestFailedTLSHandshakes(t *testing.T) {
	r, to, _ := runTLS(t, nil, func(c *config.Config) { c.HTTP.TLSTimeout = config.Duration(300 * time.Millisecond) })
	for name, tt := range map[string]struct {
		knock      func(nc net.Conn)
		part, hint string
	}{
		"too old": {func(nc net.Conn) {
			tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}).Handshake() //nolint:errcheck // the handshake is expected to fail
		}, "unsupported versions", "min_version"},
		"not trusted": {func(nc net.Conn) {
			tls.Client(nc, &tls.Config{ServerName: "localhost"}).Handshake() //nolint:errcheck // the handshake fails, because the client does not trust the server
		}, "bad certificate", "certificate"},
		"another protocol": {func(nc net.Conn) {
			tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"spdy/3"}}).Handshake() //nolint:errcheck // the handshake is expected to fail
		}, "application protocols", "http/1.1"},
		"silence": {func(net.Conn) {}, "timeout", "http.tls_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(r.rec.refused.List())
			tt.knock(send(t, to, "127.0.0.8", ""))
			bounded.Until(t, func() bool { return len(r.rec.refused.List()) > before })
			if got := r.rec.refused.List()[0]; got.Stage != "tls" || !strings.Contains(got.Reason, tt.part) || !strings.Contains(got.Hint, tt.hint) {
				t.Errorf("remembered %+v", got)
			}
		})
	}
}
