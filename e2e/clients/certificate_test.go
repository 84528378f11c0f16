//go:build e2e

package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// choose configures Chromium to send its client certificate to a page without asking the user.
func (h *home) choose(page string) {
	h.T.Helper()
	j, err := json.Marshal(map[string]any{"profile": map[string]any{"content_settings": map[string]any{"exceptions": map[string]any{
		"auto_select_certificate": map[string]any{page + ",*": map[string]any{
			"setting": map[string]any{"filters": []any{map[string]any{}}},
		}},
	}}}})
	if err != nil {
		h.T.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(h.Home, "profile", "Default"), 0o700); err != nil {
		h.T.Fatal(err)
	}
	h.Write("profile/Default/Preferences", string(j))
}

// devices is a configuration with an endpoint that requires a client certificate. AUTH is the listener's policy for certificates.
const devices = `
listen:
  - address: localhost:PORT
    tls:
      files: [{cert: server.pem, key: server.key}]
      client_cas: [ca.pem]
      client_auth: AUTH
auth:
  devices:
    certificate: {}
console: true
endpoints:
  - {path: /chat, target: echo, auth: [devices]}
`

func TestChromiumClientCertificate(t *testing.T) {
	for _, c := range []struct {
		name, auth string
		has        bool
		refused    bool // the listener rejects the page, too
		socket     string
		log        string
	}{
		{"required", "required", true, false, "hello  1000", "user=urn:device:sensor-7"},
		{"required, and there is none", "required", false, true, "", "a client certificate"},
		{"optional", "optional", true, false, "hello  1000", "user=urn:device:sensor-7"},
		{"optional, and there is none", "optional", false, false, "  1006", "status=401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHome(t)
			h.certificates()
			h.store()
			if c.has {
				h.Must(`openssl pkcs12 -export -in device.pem -inkey device.key -out device.p12 -passout pass:changeit
pk12util -i device.p12 -d sql:.pki/nssdb -W changeit`)
			}
			port, log := h.serve(strings.ReplaceAll(devices, "AUTH", c.auth))
			page := "https://localhost:" + port
			h.choose(page)
			b := h.browser()
			// In TLS 1.3 the client may have sent its request before the server rejects the certificate: the alert may be lost.
			refusals := []string{"net::ERR_BAD_SSL_CLIENT_AUTH_CERT", "net::ERR_SOCKET_NOT_CONNECTED", "net::ERR_CONNECTION_RESET"}
			if got := b.Load(page + "/"); got != "" && !c.refused || c.refused && !slices.Contains(refusals, got) {
				t.Errorf("the page: %q", got)
			}
			if c.socket != "" {
				b.Open(page + "/")
				if got := b.Eval(connect + `connect("wss://localhost:` + port + `/chat")`); got != c.socket {
					t.Errorf("the WebSocket: %q, want %q", got, c.socket)
				}
			}
			log.Await(t, c.log)
		})
	}
}
