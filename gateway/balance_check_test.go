package gateway

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
)

// Configuration errors of a balancer are found without contacting its servers, each with its key.
func TestCheckBalance(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) config.Path {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return config.Path(path)
	}
	text, good := file("text", "a b\n"), file("servers", "127.0.0.1:9001 weight=2\n\n# none\n")
	ca, cert, key := nodeFiles(t)
	const none = config.Path("/nowhere/none")
	named := func(user string, id config.SignedIdentity, set map[string]config.Secret) config.Balance {
		return config.Balance{Request: config.Rewrite{UserHeader: user, Identity: id, Header: set}}
	}
	for _, tt := range []struct {
		name string
		set  config.Balance
		want string // the key and the problem
	}{
		{"nothing", config.Balance{}, ""},
		{"a list of servers", config.Balance{File: good}, ""},
		{"no list of servers, which config finds", config.Balance{File: none}, ""},
		{"another file", config.Balance{File: text}, `file: ` + string(text) + `: line 1: "b" is neither weight=N nor capacity=N`},
		{"an authority", config.Balance{TLS: config.BackendTLS{CA: ca}}, ""},
		{"no authority", config.Balance{TLS: config.BackendTLS{CA: text}}, "tls.ca: " + string(text) + " holds no certificate in PEM"},
		{"no authority, which config finds", config.Balance{TLS: config.BackendTLS{CA: none}}, ""},
		{"a certificate", config.Balance{TLS: config.BackendTLS{Cert: cert, Key: cert}}, ""},
		{"another key", config.Balance{TLS: config.BackendTLS{Cert: cert, Key: key}}, "tls.cert: tls: private key does not match public key"},
		{"no private key", named("", config.SignedIdentity{Header: "X-Id", KeyFile: text}, nil), "request.identity.key_file: auth: the private key is not PEM"},
		{"fields", named("X-User", config.SignedIdentity{Header: "Authorization", Secret: config.NewSecret(strings.Repeat("x", 32))}, map[string]config.Secret{"X-A": config.NewSecret("b")}), ""},
		{"the user as Host", named("host", config.SignedIdentity{}, nil), "request.user_header: the balancer sets Host itself"},
		{"an identity in the handshake", named("", config.SignedIdentity{Header: "Sec_WebSocket-Key", Secret: config.NewSecret(strings.Repeat("x", 32))}, nil), "request.identity.header: the balancer sets "},
		{"a field of the connection", named("", config.SignedIdentity{}, map[string]config.Secret{"upgrade": config.NewSecret("x")}), "request.header: the balancer sets Upgrade itself"},
	} {
		cfg := &config.Config{Endpoints: []config.Endpoint{{}, {}}}
		cfg.Endpoints[1].Target.Settings = &tt.set
		var got []string
		for _, p := range CheckBalance(cfg) {
			got = append(got, strings.TrimPrefix(p.Path, "endpoints[1].target.balance.")+": "+p.Text)
			if p.Want == "" {
				t.Errorf("%s: got %v without Want", tt.name, p)
			}
		}
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, tt.want) })) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
