package certs

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestDevDir(t *testing.T) {
	home := func() (string, error) { return filepath.FromSlash("/home/u"), nil }
	none := func() (string, error) { return "", errors.New("$HOME is not defined") }
	for _, tt := range []struct {
		name, goos string
		env        map[string]string
		home       func() (string, error)
		want       string // empty: an error
	}{
		{"linux", "linux", nil, home, "/home/u/.local/state/handfast/dev"},
		{"freebsd", "freebsd", nil, home, "/home/u/.local/state/handfast/dev"},
		{"XDG", "linux", map[string]string{"XDG_STATE_HOME": "/s"}, home, "/s/handfast/dev"},
		{"XDG without HOME", "linux", map[string]string{"XDG_STATE_HOME": "/s"}, none, "/s/handfast/dev"},
		{"a relative XDG path is ignored", "linux", map[string]string{"XDG_STATE_HOME": "s"}, home,
			"/home/u/.local/state/handfast/dev"},
		{"macOS", "darwin", nil, home, "/home/u/Library/Application Support/handfast/dev"},
		{"Windows", "windows", map[string]string{"LocalAppData": "/u/AppData/Local"}, none, "/u/AppData/Local/handfast/dev"},
		{"Windows without LocalAppData", "windows", nil, home, ""},
		{"nothing set", "linux", nil, none, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := devDir(tt.goos, func(k string) string { return tt.env[k] }, tt.home)
			if filepath.ToSlash(got) != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("got %q and error %v, want %q", got, err, tt.want)
			}
		})
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
