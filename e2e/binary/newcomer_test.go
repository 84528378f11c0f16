//go:build e2e

package binary

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

// A new user can run serve, and the commands that serve suggests in another terminal.
func TestNewcomer(t *testing.T) {
	u := harness.NewUser(t)
	s := u.Serve("--listen", "localhost:0")
	if s.First("CA") != filepath.Join(u.Home, ".local", "state", "handfast", "dev", "ca.pem") {
		t.Errorf("the CA is in %s", s.First("CA"))
	}
	if !strings.HasPrefix(s.First("page"), "https://localhost:") || !strings.HasPrefix(s.First("echo"), "wss://localhost:") {
		t.Errorf("banner %q", s.Lines)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", s.First("try"))
	cmd.Env = append(os.Environ(), "HOME="+u.Home, "XDG_STATE_HOME=")
	cmd.Stdin = strings.NewReader("hello\n")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("%s: %v, %q", s.First("try"), err, out)
	}

	pem, err := os.ReadFile(s.First("CA"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	browser := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.First("page"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(page), "console.js") {
		t.Errorf("page %q, %v", page, err)
	}
	if code := s.Stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	if help := u.Handfast("", "serve", "--help"); !strings.Contains(help.Stdout, "localhost:8443") {
		t.Error("the help does not contain the default address")
	}
}
