package statedir

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestDir(t *testing.T) {
	home := func() (string, error) { return filepath.FromSlash("/home/u"), nil }
	none := func() (string, error) { return "", errors.New("$HOME is not defined") }
	for _, tt := range []struct {
		name, goos string
		env        map[string]string
		home       func() (string, error)
		want       string // "" means an error
	}{
		{"linux", "linux", nil, home, "/home/u/.local/state/handfast"},
		{"freebsd", "freebsd", nil, home, "/home/u/.local/state/handfast"},
		{"XDG", "linux", map[string]string{"XDG_STATE_HOME": "/s"}, home, "/s/handfast"},
		{"XDG without HOME", "linux", map[string]string{"XDG_STATE_HOME": "/s"}, none, "/s/handfast"},
		{"a relative XDG path is ignored", "linux", map[string]string{"XDG_STATE_HOME": "s"}, home,
			"/home/u/.local/state/handfast"},
		{"macOS", "darwin", nil, home, "/home/u/Library/Application Support/handfast"},
		{"Windows", "windows", map[string]string{"LocalAppData": "/u/AppData/Local"}, none, "/u/AppData/Local/handfast"},
		{"Windows without LocalAppData", "windows", nil, home, ""},
		{"nothing set", "linux", nil, none, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dir(tt.goos, func(k string) string { return tt.env[k] }, tt.home)
			if filepath.ToSlash(got) != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("got %q and error %v, want %q", got, err, tt.want)
			}
		})
	}
}
