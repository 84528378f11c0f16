//go:build e2e

package clients

import (
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/e2e/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// home is the home directory of one test, which contains all its files.
type home struct{ *harness.User }

func newHome(t *testing.T) *home { return &home{harness.NewUser(t)} }

// serve starts "handfast serve" with a configuration, in which PORT is replaced by a free port. It returns the port and the log.
func (h *home) serve(config string) (port string, log *harness.Output) {
	h.T.Helper()
	port = harness.FreePort(h.T)
	h.Write("handfast.yaml", strings.ReplaceAll(config, "PORT", port))
	return port, &h.Serve("--config", "handfast.yaml").Log
}

// store creates the user's certificate store, in the place where Chromium expects it, and adds ca.pem to it.
func (h *home) store() {
	h.T.Helper()
	h.Must(`mkdir -p .pki/nssdb
certutil -N -d sql:.pki/nssdb --empty-password
certutil -A -d sql:.pki/nssdb -n ca -t C,, -i ca.pem`)
}

// browser starts Chromium, which uses the CA and the client certificate, if any, in the certificate store. The tests' host names
// resolve to this machine.
func (h *home) browser() *chromium.Browser {
	h.T.Helper()
	return chromium.Start(h.T, chromium.Options{Dir: h.Home, Env: h.Environ(),
		Flags: []string{"--host-resolver-rules=MAP *.example.com 127.0.0.1, MAP attacker.example 127.0.0.1"}})
}

// certificates uses openssl to create a CA (ca.pem), a server certificate for the tests' host names (server.pem, server.key), and a
// client certificate (device.pem, device.key).
func (h *home) certificates() {
	h.T.Helper()
	h.Must(`ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
leaf=(-days 2 -CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE)
openssl req -x509 "${ec[@]}" -keyout ca.key -out ca.pem -days 2 -subj '/CN=clients test' -addext keyUsage=critical,keyCertSign
openssl req -x509 "${ec[@]}" "${leaf[@]}" -keyout server.key -out server.pem -subj /CN=localhost -addext extendedKeyUsage=serverAuth \
	-addext subjectAltName=DNS:localhost,DNS:chat.example.com,DNS:app.example.com,DNS:other.example.com,DNS:attacker.example,IP:127.0.0.1
openssl req -x509 "${ec[@]}" "${leaf[@]}" -keyout device.key -out device.pem -subj /CN=sensor-7 -addext extendedKeyUsage=clientAuth \
	-addext subjectAltName=URI:urn:device:sensor-7`)
}

// tokens creates a secret and a token for alice (token), signed with the secret.
func (h *home) tokens() (token string) {
	h.T.Helper()
	return h.Must(`openssl rand -base64 48 > secret; handfast token jwt --secret-file secret --sub alice --aud chat`)
}

// guide returns the block of docs/wss.md that is saved in a file of the given name.
func guide(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/wss.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), " "+name+"\n")
	block, _, end := strings.Cut(rest, "\n```\n")
	if !ok || !end {
		t.Fatalf("the guide has no %s", name)
	}
	return block + "\n"
}
