//go:build e2e

package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// protected is a configuration with an endpoint that requires a token, and a public endpoint.
const protected = `
listen: [{address: "127.0.0.1:0", tls: off}]
admin: {address: "127.0.0.1:0"}
audit: {to: stdout}
auth:
	users: {jwt: {secret: "%s", from: [bearer, "query:token"]}}
logout: {path: /logout, auth: [users]}
drain: {delay: 200ms, spread: 300ms, code: 1012}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [users]}
	- {name: open, path: /open, target: echo, auth: [anonymous]}
`

// An operator can use the admin listener with curl.
func TestAdmin(t *testing.T) {
	s := serve(t, fmt.Sprintf(protected, key))
	alice := dial(t, s.url("chat"), as(token("alice", time.Hour)))
	echoed(t, alice)
	if got := refused(t, s.url("chat")+"?token="+secret("this-is-no-token-at-all"), nil); got != 401 {
		t.Errorf("status %d", got)
	}
	for path, want := range map[string]string{
		"/livez": "ok", "/readyz": "ok", "/metrics": `handfast_connections{endpoint="chat"} 1`,
		"/connections?user=alice": `"messages_in": 1`, "/handshakes?format=text": "request   GET /chat?token=…",
		"/handshakes": `"status": 401`,
	} {
		if status, body := s.admin(t, path); status != "200" || !strings.Contains(body, want) {
			t.Errorf("%s: %s %s", path, status, body)
		}
	}
	if status, _ := s.admin(t, "-H", "Host: evil.example", "/connections"); status != "421" {
		t.Errorf("another host: %s", status)
	}
	if status, _ := s.admin(t, "-H", "Origin: https://evil.example", "-X", "DELETE", "/connections?all=true"); status != "403" {
		t.Errorf("another origin: %s", status)
	}
	if status, body := s.admin(t, "-X", "DELETE", "/connections?user=alice&code=4401&reason=bye"); status != "200" || !strings.Contains(body, `"closing": 1`) {
		t.Errorf("close: %s %s", status, body)
	}
	if got := code(t, alice); got != 4401 {
		t.Errorf("closed with %v", got)
	}
	s.logged(t, `msg="handshake refused"`, "status=401", "endpoint=chat")
}

// When a credential expires, the connection is closed. The client is notified before that.
func TestExpiry(t *testing.T) {
	s := serve(t, fmt.Sprintf(protected, key))
	// The server accepts tokens that expired up to 30 s ago, which leaves two seconds in the first attempt. If the handshake takes longer,
	// the next attempt uses a later expiry.
	var c *websocket.Conn
	for ago := 28 * time.Second; c == nil; ago -= 9 * time.Second {
		var err error
		if c, err = websocket.Dial(bounded.Context(t), s.url("chat"), as(token("alice", -ago))); err != nil && ago < 0 {
			t.Fatal(err)
		}
	}
	defer c.CloseNow()
	if m, err := c.Read(bounded.Context(t)); err != nil || !strings.HasPrefix(string(m.Data), `{"type":"refresh","expires_in":`) {
		t.Errorf("%s, %v", m.Data, err)
	}
	if got := code(t, c); got != 4401 {
		t.Errorf("closed with %v", got)
	}
}

// SIGHUP, or a change of the file, reloads the configuration. Connections stay open, and an invalid file changes nothing.
func TestReload(t *testing.T) {
	text := fmt.Sprintf(protected, key)
	s := serve(t, text)
	stays := dial(t, s.url("chat"), as(token("alice", time.Hour)))
	goes := dial(t, s.url("open"), nil)

	s.configure(t, text+"\nno_such_key: 1\n")
	s.Signal(syscall.SIGHUP)
	s.logged(t, "configuration not loaded", "no_such_key", "handfast.yaml:13:1")
	echoed(t, goes)

	s.configure(t, strings.Replace(text, "name: open, path: /open", "name: public, path: /public", 1))
	s.logged(t, "configuration changed", "endpoints[public]")
	if got := code(t, goes); got != websocket.CodeServiceRestart {
		t.Errorf("the endpoint that is gone: %v", got)
	}
	echoed(t, stays)
	harness.Until(t, "the new endpoint", func() bool {
		c, err := websocket.Dial(bounded.Context(t), strings.Replace(s.url("open"), "/open", "/public", 1), nil)
		if err == nil {
			c.CloseNow()
		}
		return err == nil
	})
	if got := refused(t, s.url("open"), nil); got != 404 {
		t.Errorf("the old endpoint: %d", got)
	}
}

// After SIGTERM, the server reports that it is not ready, rejects handshakes, closes the connections over a period of time, and exits
// with 0.
func TestDrain(t *testing.T) {
	s := serve(t, fmt.Sprintf(protected, key))
	var conns []*websocket.Conn
	for range 50 {
		conns = append(conns, dial(t, s.url("open"), nil))
	}
	s.Signal(syscall.SIGTERM)
	harness.Until(t, "not ready", func() bool {
		status, _ := s.admin(t, "/readyz")
		return status == "503"
	})
	for _, c := range conns {
		if got := code(t, c); got != websocket.CodeServiceRestart {
			t.Errorf("closed with %v", got)
		}
	}
	if got := s.Wait(); got != 0 {
		t.Errorf("exit %d, %s", got, s.Log.String())
	}
	s.logged(t, "msg=stopped", "cut=0")
}

// A second signal stops the server immediately, even if the drain would take long.
func TestSecondSignal(t *testing.T) {
	s := serve(t, strings.Replace(fmt.Sprintf(protected, key), "delay: 200ms", "delay: 10m", 1))
	c := dial(t, s.url("open"), nil)
	s.Signal(syscall.SIGTERM)
	s.logged(t, "msg=stopping")
	s.Signal(syscall.SIGTERM)
	if got := code(t, c); got != websocket.CodeAbnormal {
		t.Errorf("closed with %v", got)
	}
	if got := s.Wait(); got != 130 {
		t.Errorf("exit %d", got)
	}
}

// certificate creates a certificate with openssl, and installs it with a rename in the file that the server uses.
func certificate(t *testing.T, dir string) *x509.Certificate {
	t.Helper()
	file := filepath.Join(dir, "cert.pem")
	out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", file+".key", "-out", file+".cert").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	var both []byte
	for _, part := range []string{".cert", ".key"} {
		b, err := os.ReadFile(file + part)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	replace(t, file, string(both))
	block, _ := pem.Decode(both)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// When the certificate file is replaced, new clients receive the new certificate, and existing connections stay open.
func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	first := certificate(t, dir)
	s := serve(t, fmt.Sprintf(`
listen: [{address: "localhost:0", tls: {files: [{cert: %q}]}}]
endpoints: [{name: open, path: /open, target: echo, auth: [anonymous]}]
`, filepath.Join(dir, "cert.pem")))
	trust := func(cert *x509.Certificate) *websocket.DialOptions {
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		return &websocket.DialOptions{TLS: &tls.Config{RootCAs: pool}}
	}
	c := dial(t, s.url("open"), trust(first))
	second := certificate(t, dir)
	harness.Until(t, "the new certificate", func() bool {
		c, err := websocket.Dial(bounded.Context(t), s.url("open"), trust(second))
		if err == nil {
			c.CloseNow()
		}
		return err == nil
	})
	echoed(t, c)
	s.logged(t, "msg=certificate", "loaded")
}
