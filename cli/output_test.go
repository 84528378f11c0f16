package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
)

// An existing file is overwritten only with --force.
func TestOutputKeepsFiles(t *testing.T) {
	state(t)
	for _, command := range []string{"init", "default", "schema", "doc"} {
		file := filepath.Join(t.TempDir(), "a b.yaml")
		if got := runCommand(t, "config", command, "-o", file); got.code != exitOK || got.stdout != "" {
			t.Fatalf("%s: %+v", command, got)
		}
		if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := runCommand(t, "config", command, "-o", file)
		if kept, _ := os.ReadFile(file); got.code != exitFailed || string(kept) != "mine" || !strings.Contains(got.stderr, `a b-2.yaml'`) {
			t.Errorf("%s: %+v, %.20s", command, got, kept)
		}
		got = runCommand(t, "config", command, "-o", file, "--force")
		if written, _ := os.ReadFile(file); got.code != exitOK || len(written) < 100 {
			t.Errorf("%s --force: %+v", command, got)
		}
	}
}

// A file that cannot be created is an error with a next step.
func TestOutputCannotBeCreated(t *testing.T) {
	got := runCommand(t, "config", "init", "-o", filepath.Join(t.TempDir(), "none", "x.yaml"))
	if got.code != exitFailed || !strings.Contains(got.stderr, "no such file or directory\n  next step: name a file") {
		t.Errorf("%+v", got)
	}
}

// The file that init writes is valid, contains new secrets each time, and can be read only by its owner.
func TestConfigInit(t *testing.T) {
	state(t)
	file := filepath.Join(t.TempDir(), "handfast.yaml")
	if got := runCommand(t, "config", "init", "-o", file); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got := runCommand(t, "config", "check", file); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	a, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	b, err := config.Parse("b.yaml", []byte(runCommand(t, "config", "init").stdout))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]bool{}
	for _, c := range []*config.Config{a, b} {
		for _, s := range []config.Secret{c.Auth["users"].JWT.Secret, c.Apps[0].Secret, c.Admin.Token} {
			secrets[s.Reveal()] = len(s.Reveal()) >= 43
		}
	}
	if len(secrets) != 6 {
		t.Errorf("%d secrets", len(secrets))
	}
}

// The next step never suggests overwriting the file that was given by mistake, such as a certificate instead of a key.
func TestNextStepKeepsWrongFile(t *testing.T) {
	state(t)
	t.Chdir(t.TempDir())
	for _, name := range []string{"cert.pem", "key.pem", "secret"} {
		if err := os.WriteFile(name, []byte("short"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ flag, file, want string }{{"--key", "cert.pem", "-out key-2.pem\n"}, {"--key", "key.pem", "-out key-2.pem\n"}, {"--secret-file", "secret", ">secret-2\n"}} {
		if got := runCommand(t, "token", "jwt", "--sub", "a", tt.flag, tt.file); !strings.HasSuffix(got.stderr, tt.want) {
			t.Errorf("%s %s: %s", tt.flag, tt.file, got.stderr)
		}
	}
}
