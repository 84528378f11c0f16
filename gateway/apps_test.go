package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/bounded"
)

// The application secret of a server without a file is generated once, stored, and shared by all servers of the same user. It is
// not logged.
func TestDevApp(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	unnamed := func() *config.Config {
		cfg := plainConfig("127.0.0.1:0")
		cfg.Apps = []config.App{{ID: "other", Key: "k", Secret: config.NewSecret("s")}, {ID: config.DevApp, Key: config.DevApp}}
		return cfg
	}
	a, b := run(t, unnamed()), run(t, unnamed())
	app := a.DevApp()
	if app == nil || app.ID != "dev" || app.Key != "dev" || len(app.Secret.Reveal()) < 32 || *b.DevApp() != *app {
		t.Fatalf("%+v, %+v", app, b.DevApp())
	}
	secret(app.Secret.Reveal())
	kept, err := os.ReadFile(filepath.Join(home, "handfast", devSecretFile))
	if err != nil || strings.TrimSpace(string(kept)) != app.Secret.Reveal() {
		t.Errorf("%q, %v", kept, err)
	}
	if err := a.Reload(bounded.Context(t), unnamed()); err != nil || *a.DevApp() != *app {
		t.Errorf("%+v, %v", a.DevApp(), err)
	}
	if got := run(t, plainConfig("127.0.0.1:0")).DevApp(); got != nil {
		t.Errorf("a secret from the configuration is shown: %+v", got)
	}
}

// If the secret cannot be stored, it is valid until the server stops, and the server logs that.
func TestDevAppWithoutADirectory(t *testing.T) {
	for _, name := range []string{"XDG_STATE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, "")
	}
	cfg := plainConfig("127.0.0.1:0")
	cfg.Apps[0].Secret = config.Secret{}
	r := run(t, cfg)
	waitForLog(t, &r.log, "cannot be stored", "HOME")
	app := r.DevApp()
	if app == nil || len(app.Secret.Reveal()) < 32 {
		t.Fatalf("%+v", app)
	}
	cfg.Endpoints[0].MaxMessage++
	if err := r.Reload(bounded.Context(t), cfg); err != nil || *r.DevApp() != *app {
		t.Errorf("%+v, %v", r.DevApp(), err)
	}
}

// A reload that changes an application recreates the targets, which keep their shared state. An unknown engine is an error.
func TestAppsReload(t *testing.T) {
	const text = "apps: [{id: main, secret: %s}]\nendpoints: [{name: rooms, path: /rooms, target: channels, auth: [anonymous], rules: [{do: allow}]}]\n"
	r := run(t, parse(t, text, "a"))
	target := func() *liveTarget { return r.site.Load().endpoints[0].target }
	old := target()
	c := r.open(t, "/rooms", nil)
	readText(t, c)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"chat"}`), `"subscribed"`)
	for _, tt := range []struct {
		secret string
		same   bool
	}{{"a", true}, {"b", false}} {
		if err := r.Reload(bounded.Context(t), parse(t, text, tt.secret)); err != nil {
			t.Fatal(err)
		}
		if same := target() == old; same != tt.same {
			t.Errorf("secret %s: the same target: %v", tt.secret, same)
		}
	}
	other := r.open(t, "/rooms", nil)
	readText(t, other)
	wantParts(t, sendCommand(t, other, `{"type":"publish","id":1,"channel":"chat","data":1}`), `"published"`)
	wantParts(t, readText(t, c), `"data":1`)

	cfg := parse(t, text, "a")
	cfg.Hub.Engine = config.Engine{Kind: "none"}
	if _, err := Open(bounded.Context(t), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "hub.engine: there is no engine none") {
		t.Error(err)
	}
}
