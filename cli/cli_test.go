package cli

import (
	"encoding/json"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestUsageErrors(t *testing.T) {
	state(t)
	const url = "ws://127.0.0.1:1/"
	for _, tt := range []struct {
		args string
		want string // on standard error
	}{
		{"serv", `unknown command "serv"`},
		{"--nothing", "unknown flag: --nothing"},

		{"serve --nothing", "unknown flag: --nothing"},
		{"serve 8443", "unknown command"},
		{"serve --listen 8443", "localhost:8443"},
		{"serve --listen localhost:http", "from 0 to 65535"},
		{"serve --listen localhost:65536", "from 0 to 65535"},
		{"serve --listen localhost:+80", "from 0 to 65535"},
		{"serve --listen https://localhost:0 --tls off", "exclude each other"},
		{"serve --listen http://localhost", "localhost:8443"},
		{"serve --tls maybe", "dev, off, files"},
		{"serve --tls files", "--cert and --key"},
		{"serve --tls files --cert x", "--cert and --key"},
		{"serve --cert x --key y", "add --tls files"},
		{"serve --tls off --key y", "add --tls files"},
		{"serve --origin example.com", "https://example.com"},
		{"serve --origin https://example.com/", "https://example.com"},
		{"serve --origin https://*.example.com", "https://example.com"},
		{"serve --log xml", "text, json"},

		{"dial", "one URL"},
		{"dial " + url + " " + url, "one URL"},
		{"dial localhost:8443/echo", "wss://localhost:8443/echo"},
		{"dial example.com", "wss://example.com"},
		{"dial ftp://example.com/", "ftp:// is no scheme"},
		{"dial wss://", "no host"},
		{"dial wss:///path", "no host"},
		{"dial wss://example.com/#part", "%23"},
		{"dial wss://example.com:port/", "no URL"},
		{"dial --http 2 " + url, "not available yet"},
		{"dial --http 3 " + url, "not available yet"},
		{"dial --http 4 " + url, "1.1, 2, 3"},
		{"dial --wait soon " + url, "invalid"},
		{"dial --wait -1s " + url, "negative"},
		{"dial --ping -1s " + url, "negative"},
		{"dial --binary --json " + url, "exclude"},
		{"dial --insecure --cacert x " + url, "--cacert has no use"},
		{"dial --key x " + url, "--cert"},
		{"dial -H Nonsense " + url, "Name: value"},
		{"dial -H :x " + url, "Name: value"},
		{"dial -H X:a\x01b " + url, "control character"},
		{"dial --origin a\u00e4 " + url, "web origin"},

		{"cert nothing", "unknown command"},
		{"cert dev now", "unknown command"},
		{"cert dev --nothing", "unknown flag"},
		{"cert show now", "no server: write HOST:PORT"},
		{"version now", "unknown command"},
		{"version --xml", "unknown flag"},
		{"version --json=maybe", "invalid"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := runCommand(t, strings.Fields(tt.args)...)
			if got.code != exitUsage || !strings.Contains(got.stderr, tt.want) || got.stdout != "" {
				t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
			}
			if !strings.HasPrefix(got.stderr, "handfast: ") || !strings.Contains(got.stderr, "\n  next step: ") {
				t.Errorf("no next step: %q", got.stderr)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	state(t)
	dir := t.TempDir()
	for _, tt := range []struct{ args, want string }{
		{"serve --listen 192.0.2.1:1 --tls off", "no interface"},
		{"serve --listen 127.0.0.1:0 --tls files --cert " + dir + "/c --key " + dir + "/k", dir + "/c"},
		{"dial --cacert " + dir + "/ca wss://127.0.0.1:1/", dir + "/ca"},
		{"dial --cert " + dir + "/c wss://127.0.0.1:1/", dir + "/c"},
		{"dial ws://127.0.0.1:1/", "nothing listens on that port"},
		{"dial ws://no-such-host.invalid/", "stage:     dns"},
		{"cert show", `run "handfast cert dev"`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := runCommand(t, strings.Fields(tt.args)...)
			if got.code != exitFailed || !strings.Contains(got.stderr, tt.want) || got.stdout != "" {
				t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
			}
		})
	}
}

// Every command has a help with an example, and asking for it is no error.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help", "serve"}, {"serve", "--help"}, {"dial", "--help"},
		{"cert"}, {"cert", "dev", "--help"}, {"cert", "show", "--help"}, {"version", "--help"}} {
		got := runCommand(t, args...)
		if got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n  handfast") {
			t.Errorf("%q: exit %d, %q, %q", args, got.code, got.stdout, got.stderr)
		}
		for line := range strings.Lines(got.stdout) {
			if len(line) > 130 {
				t.Errorf("%q: a line of %d characters: %s", args, len(line), line)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--tls", ""}, "dev\noff\nfiles\n"},
		{[]string{"serve", "--log", ""}, "text\njson\n"},
		{[]string{"dial", "--http", ""}, "1.1\n2\n3\n"},
		{[]string{"dial", "w"}, "wss://\nws://\n"},
		{[]string{"cert", ""}, "dev\t"},
	} {
		got := runCommand(t, append([]string{cobra.ShellCompRequestCmd}, tt.args...)...)
		if got.code != exitOK || !strings.HasPrefix(got.stdout, tt.want) {
			t.Errorf("%q: exit %d, %q", tt.args, got.code, got.stdout)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := runCommand(t, "completion", shell); got.code != exitOK || len(got.stdout) < 1000 {
			t.Errorf("%s: exit %d, %d bytes", shell, got.code, len(got.stdout))
		}
	}
}

func TestVersion(t *testing.T) {
	got := runCommand(t, "version")
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "handfast ") || !strings.Contains(got.stdout, "go1.") {
		t.Errorf("exit %d, %q", got.code, got.stdout)
	}
	got = runCommand(t, "version", "--json")
	var b build
	if err := json.Unmarshal([]byte(got.stdout), &b); err != nil || b.Version == "" || b.Go == "" || b.Platform == "" {
		t.Errorf("%q: %v", got.stdout, err)
	}
}

func TestReadBuild(t *testing.T) {
	settings := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-22T10:00:00Z"},
		{Key: "vcs.modified", Value: "true"}}
	for _, tt := range []struct {
		name string
		info *debug.BuildInfo
		want []string // in the line
	}{
		{"nothing known", nil, []string{"handfast devel ("}},
		{"a release", &debug.BuildInfo{GoVersion: "go1.99", Main: debug.Module{Version: "v1.2.3"}}, []string{"handfast v1.2.3 (go1.99, "}},
		{"a working tree", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: settings},
			[]string{"handfast devel (", "0123456789ab+)"}},
		{"a clean tree", &debug.BuildInfo{Settings: settings[:2]}, []string{", 0123456789ab)"}},
	} {
		line := readBuild(tt.info).String()
		if slices.ContainsFunc(tt.want, func(s string) bool { return !strings.Contains(line, s) }) {
			t.Errorf("%s: %q", tt.name, line)
		}
	}
}

func TestCert(t *testing.T) {
	state(t)
	made := runCommand(t, "cert", "dev")
	if made.code != exitOK || !strings.Contains(made.stdout, "localhost") || !strings.Contains(made.stdout, "ca.pem") {
		t.Fatalf("exit %d, %q, %q", made.code, made.stdout, made.stderr)
	}
	if strings.Contains(made.stdout, "PRIVATE") {
		t.Error("a key was printed")
	}
	for _, args := range [][]string{{"cert", "dev"}, {"cert", "show"}} {
		if got := runCommand(t, args...); got != made {
			t.Errorf("%q: %+v, want %+v", args, got, made)
		}
	}
	renewed := runCommand(t, "cert", "dev", "--new")
	if renewed.code != exitOK || renewed.stdout == made.stdout {
		t.Errorf("renewed: exit %d, %q", renewed.code, renewed.stdout)
	}
	path := runCommand(t, "cert", "show", "--path")
	if path.code != exitOK || !strings.Contains(made.stdout, path.stdout) || strings.Count(path.stdout, "\n") != 1 {
		t.Errorf("path: exit %d, %q", path.code, path.stdout)
	}
}
