package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/bounded"
)

// reload prints the changes, or why the new configuration is not used, with file, line and column. The server's watch on the file may be
// faster than the command; the command then prints the same changes.
func TestReload(t *testing.T) {
	const text = "log: {level: debug}\nlimits: {connections: 10}\nendpoints: [{name: chat, path: /chat, target: echo, auth: [anonymous]}]\n"
	file := write(t, "handfast.yaml", text)
	s := startServer(t, "serve", "--config", file, "--listen", "127.0.0.1:0", "--tls", "off", "--admin", "127.0.0.1:0")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	admin := strings.Trim(strings.TrimPrefix(s.banner["admin"], "http:"), "/")
	ask := func(args ...string) result {
		return runCommand(t, append([]string{"reload", "--admin", admin}, args...)...)
	}
	if got := ask(); got.code != exitOK || !strings.HasPrefix(got.stdout, "unchanged: the server still has the configuration of its start, at ") {
		t.Errorf("%+v", got)
	}

	write(t, file, strings.Replace(text, "10}", "10, connections_per_address: x}", 1))
	got := ask()
	if got.code != exitFailed || got.stdout != "" || !strings.Contains(got.stderr, "the old configuration stays in force") ||
		!strings.Contains(got.stderr, file+":2:52: limits.connections_per_address: ") || !strings.Contains(got.stderr, "expected:  a whole number") {
		t.Errorf("%+v", got)
	}
	got = ask("--json")
	var answer gateway.Reloaded
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitFailed || len(answer.Problems) != 1 || answer.Problems[0].Line != 2 {
		t.Errorf("%+v, %v", got, err)
	}

	write(t, file, strings.Replace(text, "10}", "20}\nhttp: {head_timeout: 9s}", 1))
	got = ask()
	if got.code != exitOK || !strings.Contains(got.stdout, "limits.connections: 10 → 20\n") ||
		!strings.Contains(got.stdout, "http: the change takes effect after the next start\n") || !strings.HasSuffix(got.stdout, ": 2 changes\n") {
		t.Errorf("%+v", got)
	}
	got = ask("--json")
	answer = gateway.Reloaded{}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitOK || answer.Changed || len(answer.Changes) != 2 || len(answer.NextStart) != 1 {
		t.Errorf("again: %+v, %v", got, err)
	}
	if got = ask(); got.code != exitOK || !strings.Contains(got.stdout, "unchanged: the server already reloaded the configuration") {
		t.Errorf("again: %+v", got)
	}

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got = ask(); got.code != exitFailed || !strings.Contains(got.stderr, file+": ") {
		t.Errorf("without the file: %+v", got)
	}
	write(t, file, text) // the server is stopped with a valid file
}

// A balancer that is configured by flags also reloads, and keeps its flags.
func TestReloadBalancer(t *testing.T) {
	s := startServer(t, "balance", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--admin", "127.0.0.1:0")
	defer func() {
		s.signals <- os.Interrupt
		bounded.Receive(t, s.code)
	}()
	admin := strings.Trim(strings.TrimPrefix(s.banner["admin"], "http:"), "/")
	if got := runCommand(t, "reload", "--admin", admin); got.code != exitOK || !strings.HasPrefix(got.stdout, "unchanged: ") {
		t.Errorf("%+v", got)
	}
}

// An address without an admin listener, and a listener that rejects the request, are errors with the next step.
func TestReloadErrors(t *testing.T) {
	state(t)
	o := startFakeAdmin(t)
	o.text = "no such page\x1b[31m\nsecond line\n"
	const other = "is not an admin listener: it answered POST /reload with "
	for _, tt := range []struct {
		admin  bool
		status int
		addr   string
		code   int
		want   []string
	}{
		{false, http.StatusNotFound, o.address, exitFailed, []string{other + "404 Not Found", "next step: give the address of the admin listener", "handfast serve has an admin listener only with --admin"}},
		{false, http.StatusOK, o.address, exitFailed, []string{other + "200 OK"}},
		{true, http.StatusNotFound, o.address, exitFailed, []string{"answered with status 404: no such page\\x1b[31m\n"}},
		{true, http.StatusUnprocessableEntity, o.address, exitFailed, []string{"answered with status 422: no such page"}},
		{false, 0, "127.0.0.1:1", exitFailed, []string{"cannot be reached", "check that the server is running", "handfast serve has an admin listener only with --admin"}},
		{false, 0, "nowhere", exitUsage, []string{"--admin", "host:port"}},
		{false, 0, "off", exitUsage, []string{"--admin", "host:port"}},
		{false, 0, "", exitUsage, []string{"--admin is empty"}},
	} {
		o.admin, o.status = tt.admin, tt.status
		got := runCommand(t, "reload", "--admin", tt.addr)
		for _, want := range tt.want {
			if got.code != tt.code || got.stdout != "" || !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, "\x1b") {
				t.Errorf("%d %s: %+v", tt.status, tt.addr, got)
			}
		}
	}
	o.status, o.challenge = http.StatusUnauthorized, adminChallenge
	if got := runCommand(t, "reload", "--admin", o.address); got.code != exitFailed || !strings.Contains(got.stderr, "requires a token\n  next step: set HANDFAST_ADMIN_TOKEN") {
		t.Errorf("%+v", got)
	}
}
