package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	internal "github.com/handfast/handfast/config/internal/comments"
	"github.com/handfast/handfast/internal/redact"
)

// What is generated is what the sources say now; "go generate ./config" makes it so.
func TestGenerated(t *testing.T) {
	want, err := internal.Generate(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ file, want string }{
		{"comments.gen.go", string(want)},
		{"../docs/config.md", Markdown()},
		{"../docs/handfast.example.yaml", Example()},
	} {
		if got, err := os.ReadFile(tt.file); err != nil || string(got) != tt.want {
			t.Errorf("%s is not what the sources say (%v): go generate ./config", tt.file, err)
		}
	}
}

// Every key has a comment that is a sentence.
func TestEveryKeyIsExplained(t *testing.T) {
	for _, s := range reference() {
		for _, f := range s.fields {
			text := comments[s.typ.Name()+"."+f.name]
			if !strings.HasSuffix(text, ".") || strings.ToUpper(text[:1]) != text[:1] && text[0] > '@' {
				t.Errorf("%s: %q", join(s.path, f.key), text)
			}
		}
	}
	if keys := Keys(); len(keys) < 120 {
		t.Errorf("%d keys", len(keys))
	}
}

// The example loads, and says what the defaults are.
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

// hiddenSetting is a line of the example that is not given: the # is followed by the key, or by the spaces before it,
// which are even in number.
var hiddenSetting = regexp.MustCompile(`(?m)^( *)#((?:  )*)([^ \n].*)$`)

// Every setting that the example shows as a comment is one, when the # is taken away.
func TestExampleUncommented(t *testing.T) {
	text := Example()
	for hiddenSetting.MatchString(text) {
		text = hiddenSetting.ReplaceAllString(text, "$1$2$3")
	}
	l := newLoader()
	c := base()
	if p := l.document(c, []byte(text), "example"); p != nil {
		t.Fatal(p)
	}
	for _, p := range l.problems {
		if !strings.HasSuffix(p.Path, fileSuffix) { // these files are not there
			t.Error(p)
		}
	}
	if c.Auth["users"].JWT.JWKSURL == "" || c.Auth["portal"].Forward.Claims[0].Claim != "groups" || c.Store.Redis == nil ||
		c.Listen[0].TLS.Files[0].Key == "" || c.Endpoints[0].Rules[0].When != `"admin" in claims.roles` {
		t.Errorf("something is missing: %s", c.YAML())
	}
}

// What is printed of a configuration loads again as the same, but for secrets.
func TestYAML(t *testing.T) {
	c, err := Load(Sources{File: folder(t, example)})
	if err != nil {
		t.Fatal(err)
	}
	text := c.YAML()
	for _, secret := range []string{"t0ken", ":secret@", "0123456789"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in it", secret)
		}
	}
	l := newLoader()
	again := base()
	if p := l.document(again, []byte(text), "show"); p != nil || len(l.problems) > 0 {
		t.Fatalf("%v %v\n%s", p, l.problems, text)
	}
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
		{"endpoints[].limits", "  connections_per_identity  (whole number, default 0)", "max_message"},
		{"listen.tls.mode", "listen[].tls.mode  (dev, files, acme or off)", "min_version"},
		{"auth.users.jwt.secret", "auth.*.jwt.secret  (secret", "skew"}, // a name of the user's
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
	if h := Help("log.level"); h != "What is worth a line" {
		t.Errorf("help %q", h)
	}
	if h := Help("log.levle"); h != "" {
		t.Errorf("help %q", h)
	}
}
