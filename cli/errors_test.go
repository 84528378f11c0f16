package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// An error keeps its next step and exit code through all layers of cobra.
func TestReport(t *testing.T) {
	usage := usagef("write it so", "that makes no sense")
	failure := &hinted{errors.New("it broke"), "fix it"}
	for _, c := range []struct {
		name string
		err  error
		code int
		want string // the text on standard error
	}{
		{"nothing", nil, exitOK, ""},
		{"usage, from Args", usage, exitUsage, "handfast: that makes no sense\n  next step: write it so\n"},
		{"usage, from RunE", &runError{usage}, exitUsage, "handfast: that makes no sense\n  next step: write it so\n"},
		{"usage, wrapped", fmt.Errorf("flag: %w", usage), exitUsage, "handfast: flag: that makes no sense\n  next step: write it so\n"},
		{"usage without a next step", usagef("", "no"), exitUsage, "handfast: no\n  next step: see handfast --help\n"},
		{"cobra's own", errors.New("unknown flag: --x"), exitUsage, "handfast: unknown flag: --x\n  next step: see handfast --help\n"},
		{"a failure", &runError{failure}, exitFailed, "handfast: it broke\n  next step: fix it\n"},
		{"a failure that steers", &runError{errors.New("\x1b[31m")}, exitFailed, "handfast: \\x1b[31m\n"},
		{"a quiet one", &runError{errReported}, exitFailed, ""},
		{"interrupted", &runError{errInterrupted}, exitInterrupted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr strings.Builder
			code := report(&System{Stderr: &stderr}, &cobra.Command{Use: "handfast"}, c.err)
			if code != c.code || stderr.String() != c.want {
				t.Errorf("exit %d, %q", code, stderr.String())
			}
		})
	}
}

// A flag with an invalid value makes every command exit with the code for usage errors, even if the value names a file, or only the check
// of the whole configuration finds the mistake. A mistake in a file or in the environment causes another exit code.
func TestExitCodeOfFlags(t *testing.T) {
	state(t)
	none := filepath.Join(t.TempDir(), "none")
	text := file(t, "text", "not what is wanted")
	good := file(t, "good.yaml", "listen: [{address: 127.0.0.1:0, tls: off}]\nendpoints: [{path: /a, target: echo, auth: [anonymous]}]\n")
	bad := file(t, "bad.yaml", "log: x\n")
	serve := []string{"serve", "--listen", "127.0.0.1:0"}
	cluster := slices.Concat(serve, []string{"--engine", "nats", "--cluster-listen", "127.0.0.1:0"})
	for _, tt := range []struct {
		code int
		env  string
		args []string
	}{
		{exitUsage, "", append(serve, "--tls", "files", "--cert", none, "--key", none)},
		{exitUsage, "", append(serve, "--tls", "files", "--cert", text, "--key", text)},
		{exitUsage, "", append(serve, "--app", "a:b:@"+none)},
		{exitUsage, "", append(serve, "--app", "a:b:c", "--app", "a:b:d")},
		{exitUsage, "", append(serve, "--admin", "0.0.0.0:0")},
		{exitUsage, "", []string{"serve", "--listen", "127.0.0.1:9", "--listen", "127.0.0.1:9"}},
		{exitUsage, "", append(serve, "--engine", "redis", "--redis-url", "nonsense")},
		{exitUsage, "", append(serve, "--engine", "redis", "--redis-url", "redis://127.0.0.1:6379/first")},
		{exitUsage, "", append(serve, "--engine", "redis", "--redis-url", "@"+none)},
		{exitUsage, "", append(serve, "--engine", "nats", "--nats-url", "http://127.0.0.1")},
		{exitUsage, "", append(cluster, "--cluster-cert", none, "--cluster-ca", none)},
		{exitUsage, "", append(cluster, "--cluster-cert", text, "--cluster-ca", text)},
		{exitUsage, "", append(cluster, "--cluster-secret-file", none)},
		{exitUsage, "", []string{"serve", "--config", none}},
		{exitUsage, "", []string{"serve", "--config", good, "--tls", "files", "--cert", none, "--key", none}},
		{exitFailed, "", []string{"serve", "--config", bad}},
		{exitFailed, "", []string{"serve", "--config", bad, "--tls", "files", "--cert", none, "--key", none}},
		{exitFailed, "HANDFAST_LOG=x", serve},
		{exitFailed, "HANDFAST_ADMIN=0.0.0.0:0", serve},
		{exitUsage, "", []string{"token", "jwt", "--sub", "a", "--secret-file", none}},
		{exitUsage, "", []string{"token", "jwt", "--sub", "a", "--secret-file", text}},
		{exitUsage, "", []string{"token", "jwt", "--sub", "a", "--key", none}},
		{exitUsage, "", []string{"token", "jwt", "--sub", "a", "--key", text}},
		{exitUsage, "", []string{"config", "show", none}},
		{exitFailed, "", []string{"config", "show", bad}},
		{exitUsage, "", []string{"config", "test", none}},
		{exitUsage, "", []string{"config", "test", good, "--cases", none}},
		{exitUsage, "", []string{"config", "test", good, "--claims", "x"}},
		{exitUsage, "", []string{"cert", "show", "--cacert", none, "127.0.0.1:9"}},
		{exitUsage, "", []string{"cert", "show", none}},
		{exitUsage, "", []string{"cert", "show", text}},
		{exitUsage, "", []string{"cert", "trust", "--dry-run", none}},
		{exitUsage, "", []string{"cert", "trust", "--dry-run", text}},
		{exitUsage, "", []string{"cert", "untrust", "--dry-run", none}},
		{exitUsage, "", []string{"dial", "--cacert", none, "ws://127.0.0.1:9"}},
		{exitUsage, "", []string{"dial", "--cacert", text, "ws://127.0.0.1:9"}},
		{exitUsage, "", []string{"dial", "--cert", none, "ws://127.0.0.1:9"}},
		{exitUsage, "", []string{"explain", "--cacert", none, "ws://127.0.0.1:9"}},
		{exitUsage, "", []string{"explain", "--cert", none, "ws://127.0.0.1:9"}},
		{exitUsage, "", []string{"explain", "--bearer", "@" + none, "ws://127.0.0.1:9"}},
		{exitUsage, "", []string{"subscribe", "--cacert", none, "news"}},
		{exitUsage, "", []string{"publish", "--cert", none, "news", "x"}},
	} {
		t.Run(strings.ReplaceAll(strings.Join(tt.args, " "), "/", "_")+tt.env, func(t *testing.T) {
			if name, value, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(name, value)
			}
			if got := runCommand(t, tt.args...); got.code != tt.code || got.stdout != "" || got.stderr == "" {
				t.Errorf("exit %d, want %d; %q, %q", got.code, tt.code, got.stdout, got.stderr)
			}
		})
	}
}
