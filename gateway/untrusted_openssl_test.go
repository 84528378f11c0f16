//go:build e2e

package gateway

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// An OpenSSL client that does not trust the server's certificate is recorded with a hint. With TLS 1.3, crypto/tls cannot read the
// client's alert.
func TestUntrustedByOpenSSL(t *testing.T) {
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			r, to, _ := runTLS(t, nil, nil)
			cmd := exec.CommandContext(bounded.Context(t), "openssl", "s_client", "-connect", to, version, "-verify_return_error")
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "verify") {
				t.Fatalf("openssl: %v\n%s", err, out)
			}
			bounded.Until(t, func() bool { return len(r.rec.refused.List()) > 0 })
			if got := r.rec.refused.List()[0]; got.Stage != "tls" || !strings.Contains(got.Hint, "does not trust") {
				t.Errorf("remembered %+v", got)
			}
		})
	}
}
