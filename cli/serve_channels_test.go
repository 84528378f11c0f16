package cli

import (
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// Without a file there is one application, whose secret the banner shows and the log does not.
func TestServeDevApp(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off", "--engine", "memory")
	s.signals <- nil
	bounded.Receive(t, s.code)
	secret := s.banner["secret"]
	if s.banner["app"] != "dev, key dev" || len(secret) < 32 || strings.Contains(s.stderr.String(), secret) {
		t.Errorf("%v\n%s", s.banner, s.stderr.String())
	}
}

// Applications of flags replace that one, and their secrets are not shown.
func TestServeApps(t *testing.T) {
	file := write(t, "secret", "hunter3\n")
	f := serveFlags{hub: hubFlags{apps: []string{"shop:key:hunter2:x", "other:k2:@" + file}}, given: func(flag string) bool { return flag == "app" }}
	c, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Apps) != 2 || c.Apps[0].ID != "shop" || c.Apps[0].Key != "key" || c.Apps[0].Secret.Reveal() != "hunter2:x" ||
		c.Apps[1].ID != "other" || c.Apps[1].Secret.Reveal() != "hunter3" || strings.Contains(c.YAML(), "hunter") {
		t.Errorf("%s", c.YAML())
	}
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off", "--app", "shop:key:hunter2")
	s.signals <- nil
	bounded.Receive(t, s.code)
	for _, text := range s.banner {
		if strings.Contains(text, "hunter2") {
			t.Error(s.banner)
		}
	}
	for _, tt := range []struct{ app, want string }{
		{"hunter2", `--app ":...": not an application`}, {"shop:hunter2", `--app "shop:...": not an application`}, {"shop:key:", "not an application"},
		{"shop:key:@", "not an application"}, {":key:hunter2", "not an application"},
		{"a/b:key:hunter2", `--app: apps[0].id: "a/b" cannot be in a path`}, {"shop:key:@/none", "/none"},
	} {
		r := runCommand(t, "serve", "--listen", "127.0.0.1:0", "--tls", "off", "--app", tt.app)
		if r.code == exitOK || !strings.Contains(r.stderr, tt.want) || strings.Contains(r.stderr, "hunter") {
			t.Errorf("%s: exit %d, %s", tt.app, r.code, r.stderr)
		}
	}
	if r := runCommand(t, "serve", "--engine", "none"); r.code != exitUsage || !strings.Contains(r.stderr, "it is one of memory") {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
}
