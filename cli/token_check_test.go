package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway"
)

// token check shows the decision of the server's own code for each endpoint, and never prints the token.
func TestTokenCheck(t *testing.T) {
	state(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("secret"), "at least 32 characters, kept to yourself")
	key, entry, err := auth.NewAPIKey("ci")
	if err != nil {
		t.Fatal(err)
	}
	write(t, at("passwords"), runWith(t, strings.NewReader("a password"), nil, "token", "password", "alice").stdout)
	config := write(t, at("c.yaml"), `
auth:
  users: {jwt: {secret_file: secret, from: [subprotocol, bearer, "query:t", "header:X-Token", kubernetes]}}
  sub: {jwt: {secret_file: secret, from: [subprotocol]}}
  ci: {apikey: {query: key, keys: [{id: ci, hash: "`+entry.Hash+`", user: builder}]}}
  page: {cookie: {name: sid, origins: ["https://app.example"], jwt: {secret_file: secret}}}
  people: {basic: {file: passwords}}
endpoints:
  - {path: /chat, target: echo, auth: [users], rules: [{when: '"chat" in claims.roles', do: allow}]}
  - {name: other, path: /admin, target: echo, auth: [users], rules: [{when: '"admin" in claims.roles', do: allow}]}
  - {path: /sub, target: echo, auth: [sub, anonymous]}
  - {path: /keys, target: echo, auth: [ci, anonymous]}
  - {path: /page, target: echo, auth: [page]}
  - {path: /people, target: echo, auth: [people]}
  - {path: /open, target: echo, auth: [anonymous]}
`)
	made := runCommand(t, "token", "jwt", "--secret-file", at("secret"), "--sub", "alice", "--claim", `roles=["chat"]`)
	good := strings.TrimSpace(made.stdout)
	write(t, at("good"), "Bearer "+good+"\n")
	write(t, at("forged"), good[:strings.LastIndex(good, ".")+1]+strings.Repeat("A", 43))
	write(t, at("key"), key)
	write(t, at("old"), runCommand(t, "token", "jwt", "--secret-file", at("secret"), "--sub", "alice", "--expires=-1h").stdout)
	for _, tt := range []struct {
		endpoint, token string
		code            int
		want            []string
	}{
		{"/chat", "@" + at("good"), exitOK, []string{"/chat: accepted\n", "sent as      Sec-WebSocket-Protocol: handfast.token.TOKEN\n", "user         alice\n",
			"method       jwt\n", ", in ", `rule         rule 1, allow: "chat" in claims.roles`, `"roles":["chat"]`}},
		{"chat", good, exitOK, []string{"/chat: accepted\n"}},
		{"other", "@" + at("good"), exitFailed, []string{"/admin (other): refused with 403\n", "no rule applies", "user         alice\n"}},
		{"/admin", "@" + at("forged"), exitFailed, []string{"/admin (other): refused with 401\n", "signature"}},
		{"/chat", "@" + at("old"), exitFailed, []string{"/chat: refused with 401\n", "expired"}},
		{"/sub", "@" + at("good"), exitOK, []string{"/sub: accepted\n"}},
		{"/sub", "@" + at("key"), exitFailed, []string{"/sub: refused with 401\n"}},
		{"/keys", "@" + at("key"), exitOK, []string{"/keys: accepted\n", "sent as      X-API-Key: TOKEN\n", "user         builder\n", "ends         never\n"}},
		{"/page", "@" + at("good"), exitOK, []string{"/page: accepted\n", "sent as      Cookie: sid=TOKEN\n"}},
		{"/people", "@" + at("good"), exitFailed, []string{"/people: accepts no token\n"}},
		{"/open", "@" + at("good"), exitFailed, []string{"/open: accepts no token\n", "clients without a credential are admitted"}},
		{"", "@" + at("good"), exitOK, []string{"/chat: accepted", "/admin (other): refused", "/keys: refused", "/page: accepted", "/open: accepts no token"}},
		{"/none", good, exitUsage, []string{`no endpoint "/none"`, "write one of /chat, other, "}},
		{"", "", exitUsage, []string{"the token is empty"}},
		{"", "@" + at("none"), exitUsage, []string{"TOKEN @" + at("none") + ": "}},
		{"", "env:NONE", exitUsage, []string{"TOKEN env:NONE: this environment variable is not set"}},
	} {
		args := []string{"token", "check", "--config", config, tt.token}
		if tt.endpoint != "" {
			args = append(args, "--endpoint", tt.endpoint)
		}
		got := runCommand(t, args...)
		for _, want := range tt.want {
			if got.code != tt.code || !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("%q: exit %d, no %q in\n%s%s", args[4:], got.code, want, got.stdout, got.stderr)
			}
		}
		if text := got.stdout + got.stderr; strings.Contains(text, good) || strings.Contains(text, key) || strings.Contains(text, good[strings.LastIndex(good, ".")+1:]) {
			t.Errorf("%q: the token is printed:\n%s", args[5:], text)
		}
	}
	if got := runCommand(t, "token", "check", "--config", config); got.code != exitUsage || !strings.Contains(got.stderr, "next step: pass the token: handfast token check @FILE") {
		t.Errorf("no token: %+v", got)
	}
	got := runWith(t, strings.NewReader(good+"\n"), nil, "token", "check", "--config", config, "--json", "-")
	var answer struct {
		Accepted  bool
		Endpoints []gateway.TokenVerdict
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitOK || !answer.Accepted || len(answer.Endpoints) != 7 ||
		answer.Endpoints[0].User != "alice" || answer.Endpoints[0].Expires.IsZero() || strings.Contains(got.stdout, good) {
		t.Errorf("%+v, %v", got, err)
	}
	if got := runCommand(t, "token", "check", good); got.code != exitFailed || !strings.Contains(got.stderr, "--config names the configuration of a server") {
		t.Errorf("without a configuration: %+v", got)
	}
	write(t, config, "endpoints: [{path: /x, target: echo, auth: [users]}]\n")
	if got := runCommand(t, "token", "check", "--config", config, good); got.code != exitUsage || !strings.Contains(got.stderr, "c.yaml:1:") {
		t.Errorf("a wrong configuration: %+v", got)
	}
	if got := runCommand(t, "token", "check", "--config", at("none.yaml"), good); got.code != exitUsage || !strings.Contains(got.stderr, "none.yaml: ") {
		t.Errorf("no configuration: %+v", got)
	}
}
