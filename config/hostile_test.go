package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A URL may contain a password or a token, which is neither printed nor shown in changes or problems.
func TestURLsAreShownWithoutTheirSecrets(t *testing.T) {
	document := func(secret string) []byte {
		return []byte(strings.ReplaceAll(`auth:
  f: {forward: {url: "http://bob:SECRET@localhost:9/check?token=SECRET&x"}}
  j: {jwt: {jwks_url: "https://bob:SECRET@localhost:9/jwks?key=SECRET", audience: [x]}}
endpoints: [{path: /x, target: echo, auth: [f, j]}]
`, "SECRET", secret))
	}
	before, err := Parse("a.yaml", document("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := Parse("a.yaml", document("hunter3"))
	if err != nil {
		t.Fatal(err)
	}
	changes := Diff(before, after)
	if len(changes) != 2 {
		t.Errorf("%v", changes)
	}
	_, wrong := Load(Sources{Environ: []string{"HANDFAST_LIMITS_CONNECTIONS=https://bob:hunter2@h/?token=hunter2", "HANDFAST_LOG_LEVEL=https://h/?token=hunter2",
		"HANDFAST_LOG_FORMAT=https://bob:hunter 2@h"}})
	shown := before.YAML() + fmt.Sprint(changes, wrong)
	if strings.Contains(shown, "hunter") {
		t.Errorf("a secret is shown:\n%s", shown)
	}
	for _, want := range []string{"'http://[redacted]@localhost:9/check?token=[redacted]&x'", "'https://[redacted]@localhost:9/jwks?key=[redacted]'"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is not in\n%s", want, shown)
		}
	}
	if before.Auth["f"].Forward.URL != "http://bob:hunter2@localhost:9/check?token=hunter2&x" {
		t.Error("the value itself was changed")
	}
}

// A secret and a file with the same secret cannot both be given, by variables or by keys of a file.
func TestSecretAndItsFileInTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from a file that is long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Sources{Environ: []string{"HANDFAST_ADMIN_TOKEN=from a variable, long enough", "HANDFAST_ADMIN_TOKEN_FILE=" + file}})
	want := "environment variable HANDFAST_ADMIN_TOKEN_FILE: admin.token_file: HANDFAST_ADMIN_TOKEN is also given; expected one of the two"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if _, err := Load(Sources{Environ: []string{"HANDFAST_ADMIN_TOKEN=", "HANDFAST_ADMIN_TOKEN_FILE=" + file}}); err != nil {
		t.Error(err)
	}
}

// Common syntax errors have helpful messages.
func TestSyntaxMistakes(t *testing.T) {
	for document, want := range map[string]string{
		"log:\n\tlevel: debug\n":       "f.yaml:2:1: not valid YAML: a tab where only spaces are allowed; expected a YAML document",
		"log:\n  level:\tdebug\n":      "",
		"\x01log: {}\n":                "f.yaml:1:1: not UTF-8 text, or a control character; expected a YAML document",
		"log: {} # \x7f\n":             "f.yaml:1:11: not UTF-8 text, or a control character; expected a YAML document",
		"log: {} # \xff\n":             "f.yaml:1:11: not UTF-8 text, or a control character; expected a YAML document",
		"%YAML 1.2\n---\nlog: {}\n":    "f.yaml:1:1: directives are not supported here",
		"log: {level: debug}\r\n\r\n":  "",
		"\xff\xfel\x00o\x00g\x00:\x00": "f.yaml:1:1: the file is UTF-16; expected a YAML document in UTF-8",
		"\xfe\xff\x00l\x00o\x00g\x00:": "f.yaml:1:1: the file is UTF-16; expected a YAML document in UTF-8",
	} {
		_, err := Parse("f.yaml", []byte(served(document)))
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%q: %s", document, got)
		}
	}
}
