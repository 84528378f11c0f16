package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestUsageErrors(t *testing.T) {
	state(t)
	const url = "ws://127.0.0.1:1/"
	for _, tt := range []struct {
		args string
		want string // the text on standard error
	}{
		{"serv", "unknown command \"serv\" for \"handfast\"\n  next step: did you mean handfast serve?\n"},
		{"--nothing", "unknown flag: --nothing"},

		{"serve --nothing", "unknown flag: --nothing"},
		{"serve a.yaml", "takes no arguments, but there is \"a.yaml\"\n  next step: name the file of the configuration with --config"},
		{"token jwt --secret-file x --sub a --claim roles=[chat]", `--claim 'roles=["chat"]'`},
		{"config check a b", "at most one argument, not 2"},
		{"serve --listen 8443", "localhost:8443"},
		{"serve --listen localhost:http", "from 0 to 65535"},
		{"serve --listen localhost:65536", "from 0 to 65535"},
		{"serve --listen localhost:+80", "from 0 to 65535"},
		{"serve --listen https://localhost:0 --tls off", "cannot be used together"},
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

		{"serve --config= --log text", "--config is empty"},
		{"serve --admin=", "--admin"},
		{"serve --cert= --tls files --key x", "--cert is empty"},

		{"dial", "one URL, and there is none\n  next step: handfast dial wss://localhost:8443/echo"},
		{"dial --subprotocol a(b " + url, "not a token"},
		{"dial --subprotocol a,a " + url, "twice"},
		{"dial --subprotocol= " + url, "--subprotocol is empty"},
		{"dial --cacert= " + url, "--cacert is empty"},
		{"dial --cert= " + url, "--cert is empty"},
		{"dial --origin= " + url, "--origin is empty"},
		{"dial --origin nonsense " + url, "scheme and host"},
		{"dial --origin https://a.example/page " + url, "scheme and host"},
		{"dial -H Upgrade:h2c " + url, "belongs to the handshake"},
		{"dial -H Sec-WebSocket-Key:x " + url, "Sec-WebSocket-Key"},
		{"dial -H Sec-WebSocket-Protocol:x " + url, "--subprotocol"},
		{"dial -H A(b:x " + url, "Name: value"},
		{"dial -H Host:a/b " + url, "Host"},
		{"dial ws://127.0.0.1:99999/", "65535"},
		{"dial ws://127.0.0.1:0/", "65535"},
		{"dial --wait 5 " + url, "such as 30s"},
		{"dial --ping x " + url, "such as 30s"},

		{"explain", "one URL"},
		{"explain --subprotocol a(b " + url, "not a token"},
		{"explain -H A(b:x " + url, "Name: value"},
		{"explain --timeout soon " + url, "such as 30s"},
		{"explain --timeout 0s " + url, "must be positive"},
		{"explain --step-timeout -1s " + url, "must be positive"},
		{"explain --probe-idle -1s " + url, "negative"},
		{"explain --watch=soon " + url, "such as 30s"},
		{"explain --api-key-header a(b --api-key k " + url, "--api-key-header"},
		{"explain --api-key-header Host --api-key k " + url, "--api-key-header"},
		{"explain --bearer= " + url, "--bearer is empty"},
		{"explain --proxy= " + url, "--proxy is empty"},
		{"explain --proxy http://u:hush@p:99999 " + url, "--proxy http://host:port"},
		{"explain --cookie a\x01b " + url, "--cookie"},
		{"explain --bearer a\x01b " + url, "--bearer"},

		{"token", "requires a command: apikey, check, jwt, password, show"},
		{"cert", "requires a command: dev, show, trust, untrust"},
		{"config", "requires a command: check"},
		{"completion", "requires a command: bash, fish, powershell, zsh"},
		{"completion csh", `unknown command "csh"`},
		{"help nothing", `unknown command "nothing"`},
		{"help token nothing", `unknown command "nothing"`},

		{"token jwt --expires 1 --sub a --key x", "such as 30s"},
		{"token jwt --sub= --key x", "--sub is empty"},
		{"cert show --timeout 5 localhost:1", "such as 30s"},
		{"dial " + url + " " + url, "one URL"},
		{"dial localhost:8443/echo", "wss://localhost:8443/echo"},
		{"dial example.com", "wss://example.com"},
		{"dial ftp://example.com/", "ftp:// is not a WebSocket scheme"},
		{"dial wss://", "no host"},
		{"dial wss:///path", "no host"},
		{"dial wss://example.com/#part", "%23"},
		{"dial wss://example.com:port/", "not a URL"},
		{"dial --http 2 " + url, "not available yet"},
		{"dial --http 3 " + url, "not available yet"},
		{"dial --http 4 " + url, "1.1, 2, 3"},
		{"dial --wait soon " + url, "not a duration"},
		{"dial --wait -1s " + url, "negative"},
		{"dial --ping -1s " + url, "negative"},
		{"dial --binary --json " + url, "cannot be used together"},
		{"dial --insecure --cacert x " + url, "--cacert has no effect"},
		{"dial --key x " + url, "--cert"},
		{"dial -H Nonsense " + url, "Name: value"},
		{"dial -H :x " + url, "Name: value"},
		{"dial -H X:a\x01b " + url, "control character"},
		{"dial --origin a\u00e4 " + url, "scheme and host"},

		{"serve --confg x", "did you mean --config?"},
		{"serve --lisen :1", "did you mean --listen?"},
		{"dial --subprotocl a " + url, "did you mean --subprotocol?"},
		{"serve --xyzzy", "see handfast serve --help"},
		{"serve -z", "see handfast serve --help"},
		{"subscribe --history 99999999999999999999 x", "--history \"99999999999999999999\" is not a whole number, or is too large"},
		{"subscribe --count 1k x", "--count \"1k\" is not a whole number, or is too large"},
		{"serve --tls on", "the value must be one of dev, off, files"},
		{"balance --to 127.0.0.1:9 --sticky true --listen 127.0.0.1:0", "--sticky \"true\" is not the name of a cookie"},
		{"balance --to a:b:c", "such as 127.0.0.1:9001"},
		{"dial --bearer @. " + url, "--bearer @.: "},
		{"dial --cacert . " + url, "--cacert .: is a directory"},
		{"dial --cert missing " + url, "--cert missing: "},
		{"subscribe --cert x --key-file missing news", "--cert x: "},
		{"serve --config .", "is a directory"},
		{"token check --config . x", "is a directory"},
		{"token jwt --secret-file . --sub a", "is a directory"},
		{"cert trust .", "is a directory"},

		{"cert nothing", "unknown command"},
		{"cert dev now", "takes no arguments"},
		{"cert dev --nothing", "unknown flag"},
		{"cert show now", "nor a server\n  next step: write HOST:PORT"},
		{"version now", "takes no arguments"},
		{"version --xml", "unknown flag"},
		{"version --json=maybe", "neither true nor false"},
	} {
		wantUsageError(t, tt.args, tt.want)
	}
}

// wantUsageError checks that a command line is wrong, with want on standard error and a next step.
func wantUsageError(t *testing.T, args, want string) {
	t.Helper()
	t.Run(args, func(t *testing.T) {
		got := runCommand(t, strings.Fields(args)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" || strings.Contains(got.stderr, "hush") {
			t.Errorf("exit %d, %q, %q", got.code, got.stdout, got.stderr)
		}
		if !strings.HasPrefix(got.stderr, "handfast: ") || !strings.Contains(got.stderr, "\n  next step: ") {
			t.Errorf("no next step: %q", got.stderr)
		}
	})
}

func TestFailures(t *testing.T) {
	state(t)
	for _, tt := range []struct{ args, want string }{
		{"serve --listen 192.0.2.1:1 --tls off", "no interface"},
		{"dial ws://127.0.0.1:1/", "nothing is listening on that port"},
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

// A flag that names an unusable file is a command-line error, for every flag.
func TestWrongFiles(t *testing.T) {
	state(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"dial --cacert FILE wss://127.0.0.1:1/", "dial --cert FILE wss://127.0.0.1:1/", "dial --cert FILE --key FILE wss://127.0.0.1:1/",
		"explain --cacert FILE wss://127.0.0.1:1/", "explain --cert FILE wss://127.0.0.1:1/", "cert show --cacert FILE 127.0.0.1:1",
		"explain --bearer @FILE/ wss://127.0.0.1:1/",
	} {
		for _, file := range []string{filepath.Join(dir, "none"), text} {
			got := runCommand(t, strings.Fields(strings.ReplaceAll(args, "FILE", file))...)
			if got.code != exitUsage || !strings.Contains(got.stderr, file) || !strings.Contains(got.stderr, "next step: ") || got.stdout != "" {
				t.Errorf("%s with %s: exit %d, %q, %q", args, file, got.code, got.stdout, got.stderr)
			}
		}
	}
}

// Every command has help with an example, and requesting it is not an error.
func TestHelp(t *testing.T) {
	sys := &System{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }}
	calls := [][]string{nil, {"help"}, {"help", "serve"}, {"help", "cert", "show"}}
	for all := []*cobra.Command{newRoot(sys)}; len(all) > 0; all = all[1:] {
		all = append(all, all[0].Commands()...)
		all[0].Flags().VisitAll(func(f *pflag.Flag) {
			if name, _ := pflag.UnquoteUsage(f); f.Value.Type() == "duration" && name != "duration" {
				t.Errorf("%s: the value of --%s is a duration, but the help calls it %s", all[0].CommandPath(), f.Name, name)
			}
		})
		calls = append(calls, append(strings.Fields(all[0].CommandPath())[1:], "--help"))
	}
	if len(calls) < 25 {
		t.Errorf("only %d commands: %q", len(calls), calls)
	}
	for _, args := range calls {
		got := runCommand(t, args...)
		if got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n  ") {
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
	if flag := runCommand(t, "--version"); flag.code != exitOK || flag.stdout != got.stdout {
		t.Errorf("--version: exit %d, %q; version prints %q", flag.code, flag.stdout, got.stdout)
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
		want []string // parts of the line
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
