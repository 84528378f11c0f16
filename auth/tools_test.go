//go:build e2e

package auth

import (
	"os/exec"
	"strings"
	"testing"
)

// A password file can be written with htpasswd.
func TestHtpasswd(t *testing.T) {
	const secret = "pa:ss wörd"
	line, err := exec.Command("htpasswd", "-nbBC", "5", "ann", secret).Output()
	if err != nil {
		t.Fatalf("htpasswd (Debian package apache2-utils): %v", err)
	}
	b := newBasic(t, BasicOptions{}, strings.TrimSpace(string(line))+"\n")
	if id, err := b.Authenticate(withPassword("ann", secret)); err != nil || id.Subject != "ann" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := b.Authenticate(withPassword("ann", secret+"x")); err == nil {
		t.Error("another password is accepted")
	}
}

// The hash of an API key can be made with sha256sum.
func TestSha256sum(t *testing.T) {
	key, entry, err := NewAPIKey("a")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sha256sum")
	cmd.Stdin = strings.NewReader(key)
	out, err := cmd.Output()
	if sum, _, _ := strings.Cut(string(out), " "); err != nil || entry.Hash != "sha256:"+sum {
		t.Errorf("hash %q; sha256sum prints %q, %v", entry.Hash, out, err)
	}
}
