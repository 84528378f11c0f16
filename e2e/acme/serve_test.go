package acme_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// "handfast serve" obtains its certificate with either challenge; its plain listener redirects pages before and after that.
func TestServe(t *testing.T) {
	for _, challenge := range []string{"HTTP-01", "TLS-ALPN-01"} {
		t.Run(challenge, func(t *testing.T) {
			plain, secure, dead := freePort(t), freePort(t), freePort(t)
			w := want{httpPort: plain, tlsPort: dead}
			if challenge == "TLS-ALPN-01" {
				w = want{httpPort: dead, tlsPort: secure}
			}
			a := newAuthority(t, w)
			u := harness.NewUser(t)
			text := fmt.Sprintf(`
listen:
  - {address: "127.0.0.1:%d", tls: {mode: acme, acme: {hosts: [ws.example.com], directory: %q, ca_root: %q, accept_terms: true}}}
  - {address: "127.0.0.1:%d", tls: off, redirect_https: true}
endpoints: [{path: /echo, target: echo, auth: [anonymous]}]
`, secure, a.server.URL+wfe.DirectoryPath, a.root, plain)
			u.Write("handfast.yaml", text)
			server := u.Serve("--config", "handfast.yaml")
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(secure))
			n := &node{tls: address}
			if cert := n.served(t, a, "ws.example.com"); cert.VerifyHostname("ws.example.com") != nil {
				t.Errorf("a certificate for %q", cert.DNSNames)
			}
			if info, err := os.Stat(filepath.Join(u.Home, ".local", "state", "handfast", "acme")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the cache: %v, %v", info, err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/page?x=1", plain), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "ws.example.com"
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if to, want := resp.Header.Get("Location"), fmt.Sprintf("https://ws.example.com:%d/page?x=1", secure); resp.StatusCode != 301 || to != want {
				t.Errorf("%d to %s, want %s", resp.StatusCode, to, want)
			}
			if code := server.Stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit %d\n%s", code, &server.Log)
			}
		})
	}
}
