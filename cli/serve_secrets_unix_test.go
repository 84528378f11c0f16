//go:build unix

package cli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// serve warns of each file with a secret that every user can read, including the configuration file. The warnings name the files and what
// to do, and do not contain the secrets. There is no warning about a file in a directory that other users cannot enter.
func TestServeWarnsOfReadableSecrets(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // package testing creates this directory with mode 0700
		t.Fatal(err)
	}
	made := makeCert(t, nil, leaf("localhost"))
	const hush = "hush-hush-0123456789-0123456789-0123456789"
	files := map[string]string{
		"cert.pem": string(made.pem()), "both.pem": string(made.pem()) + string(made.keyPEM(t)),
		"key.pem": string(made.keyPEM(t)), "tickets": base64.StdEncoding.EncodeToString([]byte(hush[:32])) + "\n",
		"passwords": "alice:$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234\n",
		"api-keys":  "ci sha256:" + strings.Repeat("0", 64) + "\n", "admin token": hush, "handfast.yaml": `
listen: [{address: "127.0.0.1:0", tls: {files: [{cert: cert.pem, key: key.pem}, {cert: both.pem}], ticket_file: tickets}}]
admin: {address: "127.0.0.1:0", token_file: admin token}
log: {format: json}
auth:
  users: {jwt: {secret: ` + hush + `}}
  staff: {basic: {file: passwords}}
  programs: {apikey: {file: api-keys}}
endpoints: [{name: e, path: /x, target: echo, auth: [users, staff, programs]}]
`}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret := []string{"admin token", "api-keys", "both.pem", "handfast.yaml", "key.pem", "passwords", "tickets"}
	for _, tt := range []struct {
		name      string
		dir, mode os.FileMode
		want      []string
	}{
		{"readable by all", 0o755, 0o644, secret},
		{"readable by all but the group", 0o711, 0o604, secret},
		{"readable by the group", 0o755, 0o640, nil},
		{"readable by the owner", 0o755, 0o600, nil},
		{"in a directory of the owner", 0o700, 0o644, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name := range files {
				if err := os.Chmod(filepath.Join(dir, name), tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, tt.dir); err != nil {
				t.Fatal(err)
			}
			s := startServer(t, "serve", "--config", filepath.Join(dir, "handfast.yaml"))
			s.signals <- os.Interrupt
			bounded.Receive(t, s.code)
			log := s.stderr.String()
			var got []string
			for text := range strings.Lines(log) {
				var line struct{ Level, Msg, File, Hint string }
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if !strings.HasPrefix(line.Msg, "every user of this machine can read this file") {
					continue
				}
				got = append(got, filepath.Base(line.File))
				if line.Level != "WARN" || line.Hint != "chmod 600 "+shellQuote(line.File) {
					t.Errorf("%+v", line)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("warnings of %q, want %q", got, tt.want)
			}
			if strings.Contains(log, "hush") {
				t.Errorf("a secret is in the log:\n%s", log)
			}
		})
	}
}
