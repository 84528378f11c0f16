package certs

import (
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"
)

func TestDevDir(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	if got, err := DevDir(); err != nil || got != filepath.Join(home, "handfast", "dev") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestUsableHost(t *testing.T) {
	for in, want := range map[string]string{
		"vm":                      "vm",
		"VM.Example.COM.":         "vm.example.com",
		"a_b-c":                   "a_b-c",
		"az09":                    "az09",
		"a-":                      "",
		"localhost":               "",
		"LocalHost":               "",
		"":                        "",
		"10.0.0.1":                "",
		"two words":               "",
		"*.example.com":           "",
		"-x":                      "",
		"a..b":                    "",
		"b\u00fccher":             "",
		"line\nbreak":             "",
		string(make([]byte, 300)): "",
		"a-.b":                    "",
		"a.-b":                    "",
		"a/":                      "",
		"a:":                      "",
		"a`":                      "",
		"a{":                      "",
		// The limits of RFC 1035 §2.3.4: 63 characters for a label, 253 for a name in text form.
		strings.Repeat("a", 63):          strings.Repeat("a", 63),
		strings.Repeat("a", 64):          "",
		strings.Repeat("a.", 126) + "a":  strings.Repeat("a.", 126) + "a",
		strings.Repeat("a.", 126) + "ab": "",
	} {
		if got := usableHost(in); got != want {
			t.Errorf("usableHost(%q) = %q, want %q", in, got, want)
		}
	}
}

// A CA may sign for a name that its constraints permit, or one below that, unless they exclude it.
func TestMaySign(t *testing.T) {
	for _, tt := range []struct {
		permitted, excluded string
		host                string
		want                bool
	}{
		{"localhost", "", "", true}, {"localhost", "", "localhost", true}, {"localhost", "", "a.localhost", true},
		{"localhost", "", "alocalhost", false}, {"localhost", "", "box", false}, {"Box", ".box", "box", true},
		{"box", ".BOX", "a.box", false}, {".box", "", "a.box", true}, {".box", "", "box", false}, {"", "", "box", true}, {"", "box", "box", false},
	} {
		var c x509.Certificate
		if tt.permitted != "" {
			c.PermittedDNSDomains = []string{tt.permitted}
		}
		if tt.excluded != "" {
			c.ExcludedDNSDomains = []string{tt.excluded}
		}
		if got := (authority{cert: &c}).maySign(tt.host); got != tt.want {
			t.Errorf("%q, but not %q, for %q: %v", tt.permitted, tt.excluded, tt.host, got)
		}
	}
}
