package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
)

const ruledConfig = `auth:
  users: {jwt: {jwks_url: https://id.example.com/keys}}
endpoints:
  - name: chat
    path: /chat
    target: echo
    auth: [users, anonymous]
    rules:
      - {when: '"admin" in claims.roles', do: allow}
      - {when: method == "anonymous", do: deny, actions: [publish]}
      - when: |
          channel startsWith "team-" + user
        do: allow
        actions: [subscribe, publish]
      - {do: allow, actions: [connect]}
  - name: members
    path: /members
    target: echo
    auth: [users]
`

// file creates a file, and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestConfigCheck(t *testing.T) {
	good := file(t, "good.yaml", ruledConfig)
	if got := runCommand(t, "config", "check", good); got.code != exitOK || got.stdout != "good: 1 listener, 2 endpoints, 1 method\n" {
		t.Errorf("good: %+v", got)
	}
	const none = "good: 1 listener, 5 endpoints, 0 methods\nno file was given: this checks the defaults and the environment; " +
		"to check a file: handfast config check FILE\n"
	if got := runCommand(t, "config", "check"); got.code != exitOK || got.stdout != none {
		t.Errorf("without a file: %+v", got)
	}
	if got := runCommand(t, "config", "check", "--json"); got.code != exitOK || got.stdout != `{"ok":true,"problems":[]}`+"\n" {
		t.Errorf("without a file, JSON: %+v", got)
	}
	bad := file(t, "bad.yaml", strings.NewReplacer("claims.roles", "claims.roles +", "path: /chat", "pth: /chat").Replace(ruledConfig))
	got := runCommand(t, "config", "check", bad)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if got.code != exitFailed || got.stderr != "" || len(lines) != 3 ||
		lines[0] != bad+":5:5: endpoints[0].pth: there is no such key; did you mean path?" ||
		!strings.HasPrefix(lines[1], bad+":9:") || !strings.Contains(lines[1], "endpoints[0].rules[0].when: ") ||
		lines[2] != "  next step: handfast config doc endpoints.rules.when explains this key" {
		t.Errorf("bad: %+v", got)
	}
	got = runCommand(t, "config", "check", "--json", bad)
	var result struct {
		OK       bool
		Problems []struct {
			Source, Path, Problem, Hint string
			Line, Column                int
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil || got.code != exitFailed || result.OK ||
		len(result.Problems) != 2 || result.Problems[0].Line != 5 || result.Problems[0].Path != "endpoints[0].pth" ||
		result.Problems[0].Source != bad || result.Problems[0].Hint != "did you mean path?" {
		t.Errorf("JSON: %v, %+v", err, got)
	}
	if got := runCommand(t, "config", "check", "--json", good); got.code != exitOK || got.stdout != `{"ok":true,"problems":[]}`+"\n" {
		t.Errorf("good JSON: %+v", got)
	}
	for _, command := range []string{"check", "show", "test"} { // an empty name usually comes from an unset variable
		if got := runCommand(t, "config", command, ""); got.code != exitUsage || !strings.Contains(got.stderr, "the name of the file is empty") {
			t.Errorf("config %s with an empty name: %+v", command, got)
		}
	}
	var named strings.Builder
	code := Run(t.Context(), []string{"config", "check"}, System{Program: "handfast", Stdout: &named, Stderr: &named,
		Getenv: func(name string) string { return map[string]string{config.EnvFile: good}[name] }})
	if code != exitOK || named.String() != "good: 1 listener, 2 endpoints, 1 method\n" {
		t.Errorf("a file that the environment names: exit code %d, %s", code, &named)
	}
	for _, command := range [][]string{{"config", "check"}, {"serve"}} {
		named.Reset()
		Run(t.Context(), command, System{Program: "handfast", Stdout: &named, Stderr: &named,
			Getenv: func(name string) string { return map[string]string{config.EnvFile: good + ".not"}[name] }})
		if want := "no such file or directory; HANDFAST_CONFIG names this file"; !strings.Contains(strings.ReplaceAll(named.String(), "\n  next step: ", "; "), want) {
			t.Errorf("%s, a missing file that the environment names: %s", command, &named)
		}
	}
	t.Setenv("HANDFAST_LIMITS_CONECTIONS", "5")
	if got := runCommand(t, "config", "check", good); got.code != exitFailed || !strings.Contains(got.stdout, "HANDFAST_LIMITS_CONNECTIONS?") {
		t.Errorf("environment: %+v", got)
	}
}

// Each kind of problem has its next step: to read the reference of the key or, for a file that is not a configuration, to start from an
// example.
func TestConfigSteps(t *testing.T) {
	state(t)
	const start = "handfast config init prints a small configuration, and handfast config doc lists all keys"
	for _, tt := range []struct {
		document string
		want     string // the next step
	}{
		{"# handfast\n\nEverything for WebSocket: [a server](docs), *a client*.\n", start},
		{"Everything for WebSocket.\n", start},
		{"- a\n- b\n", start},
		{"services:\n  web: {image: nginx}\n", start},
		{"listen:\n\t- a\n", start},
		{"limits: {connections: x}\n", "handfast config doc limits.connections explains this key"},
		{"listen: [{address: ':1', adr: x, tls: {xyz: x}}]\n", "handfast config doc listen.tls lists the keys"},
		{"auth: {u: {jwt: {secret_file: /none}}}\n", "handfast config doc auth.u.jwt lists the keys"},
		{"admin: {addresss: ':1'}\n", "did you mean address?"},
	} {
		name := file(t, "README.md", tt.document)
		got := runCommand(t, "serve", "--config", name)
		if got.code != exitFailed || !strings.Contains(got.stderr, "  next step: "+tt.want+"\n") {
			t.Errorf("serve, %q: %+v", tt.document, got)
		}
		got = runCommand(t, "config", "check", name)
		if inLine := "; " + tt.want; got.code != exitFailed || !strings.Contains(got.stdout, "\n  next step: "+tt.want+"\n") && !strings.Contains(got.stdout, inLine) {
			t.Errorf("check, %q: %+v", tt.document, got)
		}
	}
	none := filepath.Join(t.TempDir(), "none.yaml")
	if got := runCommand(t, "config", "check", none); got.code != exitUsage || !strings.Contains(got.stdout, "  next step: give the path of a YAML file") {
		t.Errorf("%+v", got)
	}
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, bytes.Repeat([]byte("a"), 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runCommand(t, "config", "check", large); got.code != exitUsage || !strings.Contains(got.stdout, "  next step: check that this is the configuration file") {
		t.Errorf("%+v", got)
	}
}

func TestConfigDefault(t *testing.T) {
	got := runCommand(t, "config", "default")
	if got.code != exitOK || got.stdout != config.Example() {
		t.Errorf("exit %d, %d bytes", got.code, len(got.stdout))
	}
	out := filepath.Join(t.TempDir(), "handfast.yaml")
	if got := runCommand(t, "config", "default", "--output", out); got.code != exitOK || got.stdout != "" {
		t.Errorf("%+v", got)
	}
	if got := runCommand(t, "config", "check", out); got.code != exitOK || !strings.HasPrefix(got.stdout, "good: ") {
		t.Errorf("the default configuration is not valid: %+v", got)
	}
}

func TestConfigDoc(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "endpoints[].expiry"},
		{[]string{"listen.tls.mode"}, "listen[].tls.mode  (dev, files, acme or off)"},
		{[]string{"--markdown"}, "# Configuration"},
	} {
		got := runCommand(t, append([]string{"config", "doc"}, tt.args...)...)
		if got.code != exitOK || !strings.Contains(got.stdout, tt.want) {
			t.Errorf("%q: %+v", tt.args, got)
		}
	}
	if got := runCommand(t, "config", "doc", "max_message"); got.code != exitFailed ||
		!strings.Contains(got.stderr, "did you mean endpoints[].max_message?") {
		t.Errorf("%+v", got)
	}
}

func TestConfigShow(t *testing.T) {
	name := file(t, "c.yaml", "admin: {address: ':9090', token: hunter2}\nendpoints: [{path: /x, target: echo, auth: [anonymous]}]\n")
	t.Setenv("HANDFAST_LOG_LEVEL", "debug")
	got := runCommand(t, "config", "show", name)
	if got.code != exitOK || !strings.Contains(got.stdout, "  level: debug\n") || !strings.Contains(got.stdout, "address: :9090\n") ||
		!strings.Contains(got.stdout, "token: '[redacted]'\n") || strings.Contains(got.stdout, "hunter2") {
		t.Errorf("%+v", got)
	}
	if got := runCommand(t, "config", "show", file(t, "c.yaml", "log: x\n")); got.code != exitFailed || !strings.Contains(got.stderr, "c.yaml:1:6: log: ") {
		t.Errorf("%+v", got)
	}
}

func TestConfigTest(t *testing.T) {
	name := file(t, "c.yaml", ruledConfig)
	for _, tt := range []struct {
		args []string
		code int
		want string // a part of the output, without the path of the file
	}{
		{[]string{"--endpoint", "chat", "-u", "alice", "--claims", `{"roles": ["admin"]}`}, 0,
			"allow\n  because   rule 1, allow: \"admin\" in claims.roles\n  at        c.yaml:9:9 endpoints[0].rules[0]\n"},
		{[]string{"--endpoint", "chat", "-u", "bob", "--do", "subscribe", "--channel", "team-bob"}, 0, "c.yaml:11:9 endpoints[0].rules[2]\n"},
		{[]string{"--endpoint", "chat", "-u", "bob", "--do", "subscribe", "--channel", "team-al"}, 0, "deny\n  because   no rule applies\n"},
		{[]string{"--endpoint", "chat", "-u", "bob"}, 0, "endpoints[0].rules[3]\n"},
		{[]string{"--endpoint", "chat", "--do", "publish", "--channel", "c"}, 0, "c.yaml:10:9 endpoints[0].rules[1]\n"},
		{[]string{"--endpoint", "chat", "--identity", `{"subject": "x", "claims": {"roles": ["admin"]}}`}, 0, "endpoints[0].rules[0]\n"},
		{[]string{"--endpoint", "members"}, 0, "deny\n  because   the endpoint does not admit clients without a credential\n"},
		{[]string{"--endpoint", "members", "-u", "x"}, 0, "allow\n  because   there are no rules\n"},
		{[]string{"--endpoint", "members", "-u", "x", "--expect", "allow"}, 0, "allow\n"},
		{[]string{"--endpoint", "members", "-u", "x", "--expect", "deny"}, 1, "allow\n  because   there are no rules\n  expected  deny\n"},
		{[]string{"--endpoint", "members", "-u", "x", "--json"}, 0,
			`{"endpoint":"members","decision":"allow","reason":"there are no rules","ok":true}` + "\n"},
		{nil, 1, "name one with --endpoint: chat, members"},
		{[]string{"--endpoint", "x"}, 1, "name one of chat, members"},
		{[]string{"--claims", "x"}, 2, "--claims is not a JSON object"},
		{[]string{"--identity", `{"user": "x"}`}, 2, "--identity is not a JSON object with a subject"},
		{[]string{"--identity", `{"subject": "x"}`, "-u", "y"}, 2, "--identity cannot be used with --user"},
		{[]string{"--claims", "[1]"}, 2, "--claims is not a JSON object: it is a list\n"},
		{[]string{"--claims", "5"}, 2, "--claims is not a JSON object: it is a number\n"},
		{[]string{"--claims", `{"a": 1} {}`, "-u", "x"}, 2, "--claims is not a JSON object"},
		{[]string{"--identity", `{"subject": "x"} {}`}, 2, "--identity is not a JSON object with a subject"},
		{[]string{"--endpoint", "chat", "--claims", `{"roles": ["admin"]}`}, 2, "--claims and --method require a user"},
		{[]string{"--endpoint", "chat", "--method", "jwt"}, 2, "add --user NAME"},
		{[]string{"--do", "eat"}, 2, "connect, subscribe, publish"},
		{[]string{"--cases", "x", "-u", "y"}, 2, "--cases and --user cannot be used together"},
	} {
		got := runCommand(t, append([]string{"config", "test", name}, tt.args...)...)
		out := strings.ReplaceAll(got.stdout+got.stderr, name, "c.yaml")
		if got.code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%q: exit %d, %s\nwant exit %d, %s", tt.args, got.code, out, tt.code, tt.want)
		}
	}
	if got := runCommand(t, "config", "test"); got.code != exitUsage || !strings.Contains(got.stderr, "handfast config test handfast.yaml") {
		t.Errorf("%+v", got)
	}
}

func TestConfigTestCases(t *testing.T) {
	name := file(t, "c.yaml", ruledConfig)
	alone := file(t, "alone.yaml", "- {endpoint: chat, claims: {roles: [admin]}, do: publish, channel: news, expect: allow}\n")
	if got := runCommand(t, "config", "test", name, "--cases", alone); got.code != exitFailed || !strings.Contains(got.stderr, "alone.yaml:1:3: claims and method") {
		t.Errorf("%+v", got)
	}
	cases := `- {endpoint: chat, user: alice, claims: {roles: [admin]}, do: publish, channel: news, expect: allow}
- {name: guests only read, endpoint: chat, do: publish, channel: news, expect: deny}
`
	got := runCommand(t, "config", "test", name, "--cases", file(t, "cases.yaml", cases))
	if got.code != exitOK || got.stdout != "ok    alice publish news: allow\nok    guests only read: deny\n" {
		t.Errorf("%+v", got)
	}
	wrong := file(t, "cases.yaml", cases+"- {endpoint: members, user: bob, expect: deny}\n")
	got = runCommand(t, "config", "test", name, "--cases", wrong)
	if got.code != exitFailed || !strings.HasSuffix(got.stdout,
		"WRONG "+wrong+":3:3: bob connect: allow, expected deny: there are no rules\n1 of 3 cases wrong\n") {
		t.Errorf("%+v", got)
	}
	got = runCommand(t, "config", "test", name, "--json", "--cases", wrong)
	if got.code != exitFailed || strings.Count(got.stdout, "\n") != 3 || strings.Count(got.stdout, `"ok":true`) != 2 {
		t.Errorf("%+v", got)
	}
	for _, tt := range []struct{ document, want string }{
		{"- {endpoint: chat, usr: x, expect: allow}\n", "did you mean user?"},
		{"- {endpoint: none, expect: allow}\n", "cases.yaml:1:3: there is no endpoint"},
		{"- {endpoint: chat}\n", "cases.yaml:1:3: [0].expect: required\n  expected:  allow or deny\n"},
	} {
		got := runCommand(t, "config", "test", name, "--cases", file(t, "cases.yaml", tt.document))
		if got.code != exitFailed || !strings.Contains(got.stderr, tt.want) || strings.Contains(got.stderr, "config doc") {
			t.Errorf("%q: %+v", tt.document, got)
		}
	}
}

func TestConfigCompletion(t *testing.T) {
	name := file(t, "c.yaml", ruledConfig)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"config", ""}, "check"},
		{[]string{"config", "doc", "listen.tls.m"}, "listen.tls.mode"},
		{[]string{"config", "doc", ""}, "auth.jwt.secret"},
		{[]string{"config", "test", name, "--endpoint", ""}, "members"},
		{[]string{"config", "test", name, "--do", ""}, "publish"},
		{[]string{"config", "check", ""}, "yaml"},
	} {
		got := runCommand(t, append([]string{cobra.ShellCompRequestCmd}, tt.args...)...)
		lines := strings.FieldsFunc(got.stdout, func(r rune) bool { return r == '\n' || r == '\t' })
		if got.code != exitOK || !slices.Contains(lines, tt.want) {
			t.Errorf("%q: exit %d, %q", tt.args, got.code, got.stdout)
		}
	}
}

// Every command has help with an example, and requesting it is not an error.
func TestConfigHelp(t *testing.T) {
	for _, args := range [][]string{{"config", "--help"}, {"config", "check", "--help"}, {"config", "default", "--help"}, {"config", "doc", "--help"},
		{"config", "show", "--help"}, {"config", "test", "--help"}} {
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
