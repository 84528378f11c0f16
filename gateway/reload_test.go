package gateway

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// with parses a configuration whose listener has the running server's address.
func (r *running) with(t *testing.T, text string, args ...any) *config.Config {
	t.Helper()
	return parse(t, "listen: [{address: \"127.0.0.1:0\", hosts: any, tls: off}]\n"+text, args...)
}

func TestReloadEndpoints(t *testing.T) {
	const before = `
auth: {users: {jwt: {secret: "%s"}}}
drain: {code: 1012}
endpoints:
	- {name: stays, path: /stays, target: echo, auth: [users]}
	- {name: goes, path: /goes, target: echo, auth: [users]}
`
	const after = `
auth: {users: {jwt: {secret: "%s"}}}
drain: {code: 1012}
limits: {connections_per_address: 3}
endpoints:
	- {name: stays, path: /stays, target: echo, auth: [users], rules: [{when: 'user == "alice"', do: allow}]}
	- {name: comes, path: /comes, target: echo, auth: [anonymous]}
`
	r := run(t, parse(t, before, key))
	url := r.URLs()[0]
	bob := withToken(token("bob", time.Hour, nil))
	stays, goes := r.open(t, "/stays", bob), r.open(t, "/goes", bob)
	r.refuse(t, "/comes", nil)
	bounded.Until(t, func() bool { return r.conns.Len() == 2 })
	if err := r.Reload(t.Context(), r.with(t, after, key)); err != nil {
		t.Fatal(err)
	}
	if r.URLs()[0] != url {
		t.Errorf("another address: %s", r.URLs()[0])
	}
	if e := readCloseError(t, goes); e.Code != websocket.CodeServiceRestart || e.Reason != reasonRemoved {
		t.Errorf("the removed endpoint: %v", e)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 1 }) // its slot is released a moment later
	wantEcho(t, stays)
	wantEcho(t, r.open(t, "/comes", nil))
	if e := r.refuse(t, "/goes", bob); e.Status != 404 {
		t.Errorf("the removed endpoint: %d", e.Status)
	}
	if e := r.refuse(t, "/stays", bob); e.Status != 403 {
		t.Errorf("the new rule: %d", e.Status)
	}
	r.open(t, "/stays", withToken(token("alice", time.Hour, nil)))
	if e := r.refuse(t, "/comes", nil); e.Status != 429 {
		t.Errorf("the new limit: %d", e.Status)
	}
	waitForLog(t, &r.log, `msg="endpoint removed"`, "endpoint=goes", "connections=1")
}

// An unusable configuration changes nothing, whatever the problem is.
func TestReloadFails(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("nothing that anybody wants\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, parse(t, users, key))
	c := r.open(t, "/open", nil)
	url := r.URLs()
	for want, text := range map[string]string{
		"rules[0].when":        "endpoints: [{path: /other, target: echo, auth: [anonymous], rules: [{when: 'user ==', do: allow}]}]",
		"address":              "listen: [{address: \"127.0.0.1:0\", hosts: any, tls: off}, {address: \"" + taken.Addr().String() + "\", tls: off}]\nendpoints: [{path: /other, target: echo, auth: [anonymous]}]",
		"holds no certificate": "listen: [{address: \"127.0.0.1:0\", tls: {files: [{cert: " + broken + ", key: " + broken + "}]}}]\nendpoints: [{path: /other, target: echo, auth: [anonymous]}]",
		"auth.p":               "auth: {p: {basic: {file: " + broken + "}}}\nendpoints: [{path: /other, target: echo, auth: [p]}]",
	} {
		err := r.Reload(t.Context(), parse(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		wantEcho(t, c)
		wantEcho(t, r.open(t, "/open", nil))
		if e := r.refuse(t, "/other", nil); e.Status != 404 {
			t.Errorf("%s: %d", want, e.Status)
		}
		if got := r.URLs(); fmt.Sprint(got) != fmt.Sprint(url) {
			t.Errorf("%s: addresses %v", want, got)
		}
	}
}

// A reload adds and removes addresses; connections stay open.
func TestReloadListeners(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	const endpoints = "\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]"
	r := run(t, parse(t, "listen: [{address: \"127.0.0.1:0\", hosts: any, tls: off}, {address: \"127.0.0.2:0\", hosts: any, tls: off}]"+endpoints))
	first, second := r.URLs()[0], r.URLs()[1]
	c, err := websocket.Dial(bounded.Context(t), second+"/open", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := r.Reload(t.Context(), parse(t, "listen: [{address: \"127.0.0.3:0\", tls: dev}, {address: \"127.0.0.1:0\", hosts: any, tls: off}]"+endpoints)); err != nil {
		t.Fatal(err)
	}
	urls := r.URLs()
	if len(urls) != 2 || urls[1] != first || !strings.HasPrefix(urls[0], "https://127.0.0.3:") {
		t.Errorf("addresses %v", urls)
	}
	wantEcho(t, c)
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(second, "http://"), time.Second); err == nil {
		t.Error("the removed address accepts connections")
	}
	nc, err := new(net.Dialer).DialContext(bounded.Context(t), "tcp", strings.TrimPrefix(urls[0], "https://"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	// An address that is added by a reload is served in the same way.
	if err := r.Reload(t.Context(), parse(t, "listen: [{address: \"127.0.0.4:0\", hosts: any, tls: off}, {address: \"127.0.0.1:0\", hosts: any, tls: off}]"+endpoints)); err != nil {
		t.Fatal(err)
	}
	wantEcho(t, r.open(t, "/open", nil))
	// The same address is served again, now with TLS.
	if err := r.Reload(t.Context(), parse(t, "listen: [{address: \"127.0.0.1:0\", tls: dev}]"+endpoints)); err != nil {
		t.Fatal(err)
	}
	if got := r.URLs(); len(got) != 1 || got[0] != "https"+strings.TrimPrefix(first, "http") {
		t.Errorf("addresses %v", got)
	}
	wantEcho(t, c)
}

// Settings that take effect only at the next start are logged.
func TestReloadLogsSettingsForNextStart(t *testing.T) {
	r := run(t, parse(t, users, key))
	cfg := parse(t, users+"\nhttp: {head_timeout: 5s}\n", key)
	cfg.Admin, cfg.Audit = r.site.Load().cfg.Admin, r.site.Load().cfg.Audit
	if err := r.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, &r.log, "next start", "setting=http")
	if strings.Contains(r.log.String(), "setting=admin") {
		t.Error("the log names a setting that has not changed")
	}
}

// The audit log can be rotated.
func TestRereadAuditLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	r := run(t, parse(t, "audit: {to: file, file: %q}\nendpoints: [{path: /open, target: echo, auth: [anonymous]}]", file))
	connected := func(name string) func() bool {
		return func() bool {
			text, err := os.ReadFile(name)
			return err == nil && strings.Count(string(text), `"connected"`) == 1
		}
	}
	r.open(t, "/open", nil)
	bounded.Until(t, connected(file))
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Reread(); err != nil {
		t.Fatal(err)
	}
	r.open(t, "/open", nil)
	for _, name := range []string{file, file + ".1"} {
		bounded.Until(t, connected(name))
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}
