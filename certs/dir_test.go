package certs

import (
	"path/filepath"
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
	} {
		if got := usableHost(in); got != want {
			t.Errorf("usableHost(%q) = %q, want %q", in, got, want)
		}
	}
}
