package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// Each flag for a credential sends the same credential whether the flag has the value itself, a file, or an environment variable.
func TestCredentialsFromFilesAndVariables(t *testing.T) {
	state(t)
	seen := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := []string{r.URL.RawQuery}
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Sec-Websocket-Protocol"} {
			parts = append(parts, r.Header.Get(name))
		}
		seen <- strings.Join(parts, "|")
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "secret")
	const value = "alice:hush"
	if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := map[string]string{"dial": "", "explain": "--no-probes"}
	for command, flag := range with {
		for _, name := range secretFlags {
			before := ""
			if name == "query-token" {
				before = "t="
			}
			send := func(given string) (string, result) {
				args := []string{command, "--proxy", "none", "--" + name, before + given, "ws" + strings.TrimPrefix(s.URL, "http") + "/"}
				if flag != "" {
					args = append(args, flag)
				}
				var stdout, stderr buffer
				code := Run(t.Context(), args, System{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
					Getenv: func(name string) string { return map[string]string{"SECRET": value}[name] }})
				got := result{code, stdout.String(), stderr.String()}
				if got.code == exitUsage {
					return "", got
				}
				return bounded.Receive(t, seen), got
			}
			want, _ := send(value)
			if strings.Trim(want, "|") == "" {
				t.Errorf("%s --%s sends nothing", command, name)
			}
			for _, given := range []string{"@" + file, "env:SECRET"} {
				if sent, got := send(given); sent != want || strings.Contains(got.stdout+got.stderr, "hush") {
					t.Errorf("%s --%s %s sends %q, want %q; %+v", command, name, given, sent, want, got)
				}
			}
			for _, given := range []string{"@" + file + ".missing", "env:MISSING"} {
				if sent, got := send(given); got.code != exitUsage || !strings.Contains(got.stderr, given) {
					t.Errorf("%s --%s %s sends %q; %+v", command, name, given, sent, got)
				}
			}
		}
	}
}

// An error about a credential names the flag that was given, and a file that is too large is refused rather than truncated.
func TestErrorsOfCredentialsNameTheFlag(t *testing.T) {
	state(t)
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("a"), maxCredential+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"dial", "explain"} {
		for _, name := range secretFlags {
			before := map[string]string{"query-token": "t="}[name]
			for given, want := range map[string]string{
				"env:HANDFAST_NOT_SET": "--" + name + " env:HANDFAST_NOT_SET: this environment variable is not set",
				"@" + large:            "--" + name + " @" + large + ": the file is larger than 65536 bytes",
			} {
				got := runCommand(t, command, "--"+name, before+given, "ws://127.0.0.1:1/")
				if got.code != exitUsage || !strings.Contains(got.stderr, want) {
					t.Errorf("%s --%s %s: exit %d, %s", command, name, given, got.code, got.stderr)
				}
			}
		}
	}
}
