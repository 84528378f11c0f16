package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/certs"
)

// The files that a configuration names are checked, too.
func TestConfigCheckFiles(t *testing.T) {
	state(t)
	if got := runCommand(t, "cert", "dev"); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	stateDir, err := certs.DevDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := os.ReadFile(certs.LeafFile(stateDir))
	if err != nil {
		t.Fatal(err)
	}
	write("leaf.pem", string(leaf))
	write("none.pem", "nothing\n")
	write("passwords", "alice:secret\n")
	write("api-keys", "ci sha256:00\n")
	for _, tt := range []struct{ document, want string }{
		{"listen: [{address: ':1', tls: {files: [{cert: leaf.pem}]}}]\n", ""},
		{"listen: [{address: ':1', tls: {files: [{cert: none.pem}]}}]\n", "c.yaml:1:47: listen[0].tls.files[0].cert: "},
		{"listen: [{address: ':1', tls: {files: [{cert: leaf.pem}], client_cas: [none.pem]}}]\n", "c.yaml:1:72: listen[0].tls.client_cas[0]: "},
		{"listen: [{address: ':1', tls: {files: [{cert: leaf.pem}], ticket_file: none.pem}}]\n", "c.yaml:1:72: listen[0].tls.ticket_file: "},
		{"listen: [{address: ':1', tls: {files: [{cert: gone.pem}]}}]\n", "cannot be read: no such file"},
		{"auth: {b: {basic: {file: passwords}}}\n", "c.yaml:1:26: auth.b.basic.file: "},
		{"auth: {k: {apikey: {file: api-keys}}}\n", "c.yaml:1:27: auth.k.apikey.file: "},
		{"auth: {j: {jwt: {public_key_file: none.pem}}}\n", "c.yaml:1:35: auth.j.jwt.public_key_file: "},
		{"auth: {j: {cookie: {name: s, origins: ['https://x.org'], jwt: {public_key: x}}}}\n", ": auth.j.cookie.jwt.public_key: "},
	} {
		write("c.yaml", tt.document+"endpoints: [{path: /x, target: echo, auth: [anonymous]}]\n")
		got := runCommand(t, "config", "check", filepath.Join(dir, "c.yaml"))
		out := strings.ReplaceAll(got.stdout, dir+string(filepath.Separator), "")
		switch {
		case tt.want == "" && got.code != exitOK:
			t.Errorf("%s: %+v", tt.document, got)
		case tt.want != "" && (got.code != exitFailed || !strings.Contains(out, tt.want) || strings.Count("\n"+out, "\nc.yaml:") != 1 ||
			strings.Contains(out, "alice:secret")):
			t.Errorf("%s: exit %d, %s", tt.document, got.code, out)
		}
	}
}
