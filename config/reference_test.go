package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/handfast/handfast/config/internal/tree"
	"github.com/handfast/handfast/internal/redact"
)

// The generated files are current; "go generate ./config" updates them.
func TestGenerated(t *testing.T) {
	for file, want := range map[string]string{"../docs/config.md": Markdown(), "../docs/handfast.example.yaml": Example()} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is out of date (%v): run go generate ./config", file, err)
		}
	}
}

// Every key has a comment that is a sentence.
func TestEveryKeyIsExplained(t *testing.T) {
	for _, key := range Keys() {
		text, _ := Doc(key)
		if text = strings.TrimSpace(text); !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q", key, text)
		}
	}
	if keys := Keys(); len(keys) < 120 {
		t.Errorf("%d keys", len(keys))
	}
}

// The example can be loaded, and has the values of the defaults.
func TestExampleIsTheDefault(t *testing.T) {
	for name, text := range map[string]string{"example": Example(), "show": Default().YAML()} {
		c, err := Parse(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, change := range Diff(Default(), c) {
			t.Errorf("%s: %s", name, change)
		}
	}
	if c, err := Load(Sources{}); err != nil || len(Diff(Default(), c)) > 0 {
		t.Errorf("nothing: %+v, %v", c, err)
	}
	for line := range strings.Lines(Example()) {
		if len(line) > 121 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}

// hiddenSetting matches a commented key of the example: the # is followed by the key, or by an even number of spaces and the key.
var hiddenSetting = regexp.MustCompile(`(?m)^( *)#((?:  )*)([^ \n].*)$`)

// Every commented key of the example is valid when the # is removed.
func TestExampleUncommented(t *testing.T) {
	text := Example()
	for hiddenSetting.MatchString(text) {
		text = hiddenSetting.ReplaceAllString(text, "$1$2$3")
	}
	c := base()
	r := tree.New(c)
	if p := r.Document("example", []byte(text)); p != nil {
		t.Fatal(p)
	}
	if all, ok := r.Err().(*Error); ok {
		for _, p := range all.Problems {
			if !strings.HasSuffix(p.Path, "_file") { // the example names files that do not exist
				t.Error(p)
			}
		}
	}
	if c.Auth["users"].JWT.JWKSURL == "" || c.Auth["portal"].Forward.Claims[0].Claim != "groups" || c.Store.Redis == nil ||
		c.Listen[0].TLS.Files[0].Key == "" || c.Endpoints[0].Rules[0].When != `"admin" in claims.roles` {
		t.Errorf("a key is missing: %s", c.YAML())
	}
}

// reread decodes a printed configuration without checking it, because secrets and values that follow from them are missing.
func reread(t *testing.T, text string) *Config {
	t.Helper()
	c := base()
	r := tree.New(c)
	if p := r.Document("again", []byte(text)); p != nil || r.Err() != nil {
		t.Fatalf("%v %v\n%s", p, r.Err(), text)
	}
	return c
}

// A printed configuration can be loaded again without a change, except for secrets.
func TestYAML(t *testing.T) {
	c, err := Load(Sources{File: folder(t, example)})
	if err != nil {
		t.Fatal(err)
	}
	text := c.YAML()
	for _, secret := range []string{"t0ken", ":secret@", "0123456789"} {
		if strings.Contains(text, secret) {
			t.Errorf("the document contains %q", secret)
		}
	}
	again := reread(t, text)
	for _, change := range Diff(c, again) {
		if !strings.Contains(change.Old, redact.Mark) {
			t.Errorf("%s\n%s", change, text)
		}
	}
}

func TestDoc(t *testing.T) {
	for _, tt := range []struct{ key, want, not string }{
		{"", "endpoints[].expiry", ""},
		{"endpoints", "  max_message  (size, 1 to 1GiB, default 1MiB)", "pending_handshakes"},
		{"endpoints[].limits", "  connections_per_identity  (whole number, default 0)", "ping_interval"},
		{"listen.tls.mode", "listen[].tls.mode  (dev, files, acme or off)", "min_version"},
		{"auth.users.jwt.secret", "auth.*.jwt.secret  (secret", "skew"}, // users is a name that the user has chosen
		{"auth.jwt", "  secret  (secret, or secret_file)", "X-API-Key"},
		{"auth.*.cookie.jwt", "The keys are those of auth.*.jwt.", "X-API-Key"},
	} {
		text, instead := Doc(tt.key)
		if (text == "") != (tt.want == "") || !strings.Contains(text, tt.want) || tt.not != "" && strings.Contains(text, tt.not) {
			t.Errorf("%q: %q, instead %q", tt.key, text, instead)
		}
	}
	for key, want := range map[string]string{"max_message": "endpoints[].max_message", "endpoint": "endpoints", "qqqqqqqq": ""} {
		if _, instead := Doc(key); strings.Join(instead, " ") != want {
			t.Errorf("instead of %q: %q, want %q", key, instead, want)
		}
	}
}
