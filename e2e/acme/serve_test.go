package acme_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/letsencrypt/pebble/v2/wfe"
)

// "handfast serve" gets its certificate by either challenge, with a listener that redirects pages beside it, and goes
// on redirecting.
func TestServe(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "handfast")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/handfast/handfast/cmd/handfast").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, challenge := range []string{"HTTP-01", "TLS-ALPN-01"} {
		t.Run(challenge, func(t *testing.T) {
			plain, secure, dead := freePort(t), freePort(t), freePort(t)
			w := want{httpPort: plain, tlsPort: dead}
			if challenge == "TLS-ALPN-01" {
				w = want{httpPort: dead, tlsPort: secure}
			}
			a := newAuthority(t, w)
			home := t.TempDir()
			file := filepath.Join(home, "handfast.yaml")
			text := fmt.Sprintf(`
listen:
  - {address: "127.0.0.1:%d", tls: {mode: acme, acme: {hosts: [ws.example.com], directory: %q, ca_root: %q, accept_terms: true}}}
  - {address: "127.0.0.1:%d", tls: off, redirect_https: true}
endpoints: [{path: /echo, target: echo, auth: [anonymous]}]
`, secure, a.server.URL+wfe.DirectoryPath, a.root, plain)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), binary, "serve", "--config", file)
			cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
			var log strings.Builder
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				if err := cmd.Wait(); err != nil {
					t.Errorf("%v\n%s", err, log.String())
				}
			}()
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(secure))
			waitFor(t, address)
			n := &node{tls: address}
			if cert := n.served(t, a, "ws.example.com"); cert.VerifyHostname("ws.example.com") != nil {
				t.Errorf("a certificate for %q", cert.DNSNames)
			}
			if info, err := os.Stat(filepath.Join(home, ".local", "state", "handfast", "acme")); err != nil || info.Mode().Perm() != 0o700 {
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
		})
	}
}
