package cli

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/bounded"
)

// Without a file there is one application, whose secret is shown in the banner, but not logged.
func TestServeDevApp(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off", "--engine", "memory")
	s.signals <- nil
	bounded.Receive(t, s.code)
	secret := s.banner["secret"]
	if s.banner["app"] != "dev, key dev" || len(secret) < 32 || strings.Contains(s.stderr.String(), secret) {
		t.Errorf("%v\n%s", s.banner, s.stderr.String())
	}
}

// Applications in flags replace the default one, and their secrets are not shown.
func TestServeApps(t *testing.T) {
	file := write(t, "secret", "hunter3\n")
	f := serveFlags{hub: hubFlags{apps: []string{"shop:key:hunter2:x", "other:k2:@" + file}}, given: func(flag string) bool { return flag == "app" }}
	c, err := f.load(nil)
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
	if s.banner["app"] != "shop, key key" || s.banner["secret"] != "" || !strings.HasSuffix(s.banner["pusher"], "/app/key") {
		t.Errorf("%v", s.banner)
	}
	for _, text := range s.banner {
		if strings.Contains(text, "hunter2") {
			t.Error(s.banner)
		}
	}
	for _, tt := range []struct{ app, want string }{
		{"hunter2", "--app: KEY or SECRET is missing"}, {"shop:hunter2", "--app: KEY or SECRET is missing"},
		{"shop:key:", "--app: SECRET is missing"}, {"shop:key:@", "--app: SECRET is missing"}, {":key:hunter2", "--app: ID is missing"},
		{"shop::hunter2", "--app: KEY is missing"},
		{"a/b:key:hunter2", `handfast: --app: "a/b" cannot be used in a path`}, {"shop:key:@/none", "/none"},
	} {
		r := runCommand(t, "serve", "--listen", "127.0.0.1:0", "--tls", "off", "--app", tt.app)
		if r.code == exitOK || !strings.Contains(r.stderr, tt.want) || strings.Contains(r.stderr, "hunter") {
			t.Errorf("%s: exit %d, %s", tt.app, r.code, r.stderr)
		}
	}
}

// The values in the banner are aligned, even if a name is long. The banner shows the applications, and commands for open channels.
func TestBannerRows(t *testing.T) {
	var rows bannerRows
	rows.add("page", "http://a/")
	rows.add("centrifugo", "ws://a/connection/websocket")
	rows.addApps(slices.Repeat([]gateway.App{{ID: "a", Key: "k"}}, maxBannerRows+2), nil)
	subscribe, publish := tryChannels("handfast", "ws://a/channels")
	rows.addCommands(false, "", subscribe, publish)
	subscribe, publish = tryChannels("handfast", channelsURL)
	rows.addCommands(true, subscribe, publish, "curl http://a/")
	subscribe, publish = tryChannels("handfast", "")
	rows.addCommands(true, subscribe, publish)
	var b strings.Builder
	rows.print(&b, false)
	want := "  page       http://a/\n  centrifugo ws://a/connection/websocket\n" + strings.Repeat("  app        a, key k\n", maxBannerRows) +
		"             and 2 more\n  try        handfast subscribe --url ws://a/channels chat\n" +
		"             handfast publish --url ws://a/channels chat hello\n" +
		"  try        \x1b[32mhandfast subscribe chat\x1b[0m\n             handfast publish chat hello\n             curl http://a/\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// The banner inserts the key of an application only in paths that require one.
func TestBannerKey(t *testing.T) {
	s := startServe(t, "--config", write(t, "c.yaml", `
listen: [{address: 127.0.0.1:0, tls: off}]
apps: [{id: shop, key: shop-key, secret: s}]
endpoints:
  - {name: push, path: "/rt/app/{key}", target: pusher, auth: [anonymous]}
  - {name: other, path: "/other/app/{key}", target: echo, auth: [anonymous]}
`))
	s.signals <- nil
	bounded.Receive(t, s.code)
	if !strings.HasSuffix(s.banner["push"], "/rt/app/shop-key") || !strings.HasSuffix(s.banner["other"], "/other/app/{key}") {
		t.Errorf("%v", s.banner)
	}
}

// The commands that the banner shows for open channels work. For channels with rules, the banner shows no commands.
func TestBannerChannels(t *testing.T) {
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off")
	_, last, ok := strings.Cut(cmp.Or(s.banner["go"], s.banner["handfast"]), "publish ") // the program may be "go run …"
	if !ok {
		t.Fatalf("%v", s.banner)
	}
	args := append([]string{"publish"}, strings.Fields(last)...)
	if got := runCommand(t, args...); got.code != exitOK {
		t.Errorf("%q: %+v", args, got)
	}
	s.signals <- nil
	bounded.Receive(t, s.code)
	const listen = "listen: [{address: 127.0.0.1:0, tls: off}]\napps: [{id: a, secret: s}]\nendpoints:\n"
	s = startServe(t, "--config", write(t, "c.yaml", listen+"  - {path: /x, target: channels, auth: [anonymous]}\n"))
	if text := fmt.Sprint(s.banner); strings.Contains(text, "publish") || !strings.Contains(text, "a, key a") {
		t.Errorf("%s", text)
	}
	s.signals <- nil
	bounded.Receive(t, s.code)
}

// Flags set the engine. Settings of the engine in the file are kept unless a flag changes them, and the password of a Redis server is never
// shown.
func TestServeEngine(t *testing.T) {
	const endpoints = "endpoints: [{path: /x, target: channels, auth: [anonymous]}]\napps: [{id: a, secret: s}]\n"
	for _, tt := range []struct {
		file, url   string
		flags       []string
		want, value string
	}{
		{"", "", []string{"engine"}, "handfast", "redis://127.0.0.1:6379"},
		{"", "redis://:hunter2@a/1", []string{"engine", "redis-url"}, "handfast", "redis://:hunter2@a/1"},
		{"hub: {engine: {redis: {url: 'redis://:hunter2@b', prefix: p}}}", "", []string{"engine"}, "p", "redis://:hunter2@b"},
		{"hub: {engine: {redis: {url: 'redis://:hunter2@b', prefix: p}}}", "redis://a", []string{"engine", "redis-url"}, "p", "redis://a"},
		{"hub: {engine: memory}", "redis://a", []string{"engine", "redis-url"}, "handfast", "redis://a"},
	} {
		f := serveFlags{hub: hubFlags{engine: choice{value: "redis"}, texts: map[string]*string{"redis-url": &tt.url}},
			given: func(flag string) bool { return slices.Contains(tt.flags, flag) }}
		if tt.file != "" {
			f.config = write(t, "f.yaml", endpoints+tt.file)
		}
		c, err := f.load(nil)
		if err != nil {
			t.Error(err)
			continue
		}
		set, ok := c.Hub.Engine.Settings.(*config.RedisEngine)
		if !ok || set.Prefix != tt.want || set.URL.Reveal() != tt.value || strings.Contains(c.YAML(), "hunter2") {
			t.Errorf("%+v: %+v, %s", tt, set, c.YAML())
		}
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--engine", "none"}, exitUsage, "the value must be one of memory"},
		{[]string{"--redis-url", "redis://:hunter2@a"}, exitUsage, "--redis-url cannot be used with the engine memory"},
		{[]string{"--engine", "memory", "--redis-url", "redis://:hunter2@a"}, exitUsage, "--redis-url cannot be used with the engine memory"},
		{[]string{"--engine", "redis", "--redis-url", ""}, exitUsage, "--redis-url is empty"},
		{[]string{"--engine", "redis", "--redis-url", "http://:hunter2@a"}, exitUsage, "handfast: --redis-url: the scheme of the URL is"},
		{[]string{"--engine", "redis", "--redis-url", "redis://:hunter2@a/x"}, exitUsage, "handfast: --redis-url: not a valid redis://"},
		{[]string{"--engine", "redis", "--redis-url", "redis://:hunter2@%zz"}, exitUsage, "handfast: --redis-url: not a URL"},
	} {
		r := runCommand(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--tls", "off"}, tt.args...)...)
		if r.code != tt.code || !strings.Contains(r.stderr, tt.want) || strings.Contains(r.stderr+r.stdout, "hunter2") {
			t.Errorf("%v: exit %d, %s", tt.args, r.code, r.stderr)
		}
	}
}

// Flags for an engine are valid only with that engine, and two processes cannot use the same directory.
func TestServeNATS(t *testing.T) {
	for _, tt := range []struct {
		flags string
		code  int
		want  string
	}{
		{"--join 127.0.0.1:6222", exitUsage, "--join cannot be used with the engine memory\n  next step: add --engine nats"},
		{"--engine memory --nats-url nats://u:hunter2@x", exitUsage, "--nats-url cannot be used with the engine memory"},
		{"--engine nats --cluster-listen x", exitUsage, `--cluster-listen "x": not an address`},
		{"--engine nats --join x", exitUsage, `--join "x": not an address`},
		{"--engine nats --join 127.0.0.1:6222", exitUsage, "handfast: --cluster-listen: required in a cluster\n"},
		{"--engine nats --cluster-listen 0.0.0.0:6222", exitUsage, "handfast: --cluster-secret-file: required, since 0.0.0.0:6222 is not on this machine\n"},
		{"--engine nats --cluster-listen 127.0.0.1:6222 --cluster-secret-file /none", exitUsage, "handfast: --cluster-secret-file: /none cannot be read: "},
		{"--engine nats --nats-url http://u:hunter2@x", exitUsage, "handfast: --nats-url: the scheme of the URL"},
		{"--engine nats --nats-url @/none", exitUsage, "handfast: --nats-url: /none cannot be read: "},
	} {
		r := runCommand(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--tls", "off"}, strings.Fields(tt.flags)...)...)
		if r.code != tt.code || !strings.Contains(r.stderr, tt.want) || strings.Contains(r.stderr, "hunter2") {
			t.Errorf("%s: exit %d, %s", tt.flags, r.code, r.stderr)
		}
	}
	s := startServe(t, "--listen", "127.0.0.1:0", "--tls", "off", "--engine", "nats")
	r := runCommand(t, "serve", "--listen", "127.0.0.1:0", "--tls", "off", "--engine", "nats")
	if want := filepath.Join("nats", "alone") + ": another process is using the directory"; r.code != exitFailed || !strings.Contains(r.stderr, want) {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
	s.signals <- nil
	bounded.Receive(t, s.code)
}
