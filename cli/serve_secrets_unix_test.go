//go:build unix

package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
)

// A warning is logged for a secret that every user can read; it does not contain the secret.
func TestReadableSecrets(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file, token := filepath.Join(dir, "handfast.yaml"), filepath.Join(dir, "admin token")
	text := "admin: {address: '127.0.0.1:0', token_file: admin token}\nendpoints: [{path: /x, target: echo, auth: [anonymous]}]\n"
	for name, text := range map[string]string{file: text, token: "hush-hush"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for mode, want := range map[os.FileMode]int{0o644: 1, 0o604: 1, 0o640: 0, 0o600: 0} {
		if err := os.Chmod(token, mode); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Sources{File: file})
		if err != nil {
			t.Fatal(err)
		}
		var out buffer
		warnReadable(slog.New(slog.NewTextHandler(&out, nil)), cfg, filepath.Base(file))
		if got := out.String(); strings.Count(got, "can read this secret") != want || strings.Contains(got, "hush") || want > 0 && !strings.Contains(got, "chmod 600 '"+token) {
			t.Errorf("%o: %s", mode, got)
		}
	}
}
