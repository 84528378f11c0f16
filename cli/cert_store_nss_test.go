package cli

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/nextstep"
)

// The databases of browsers are found in their current and earlier locations.
func TestBrowserStoresAreFound(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	if got := nssProfiles(); len(got) != 0 {
		t.Errorf("in an empty home: %q", got)
	}
	var want []string
	put := func(dir, file, notation string) {
		dir = filepath.Join(home, dir)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if notation != "" {
			want = append(want, notation+":"+dir)
		}
	}
	put(".pki/nssdb", "cert9.db", "sql")
	put(".local/share/pki/nssdb", "cert9.db", "sql")
	put(".mozilla/firefox/abc.default", "cert8.db", "dbm")
	put(".config/mozilla/firefox/abc.default-release", "cert9.db", "sql")
	put(".config/mozilla/firefox/Crash Reports", "events", "")
	put("snap/firefox/common/.mozilla/firefox/x.default", "cert9.db", "sql")
	put("snap/chromium/current/.pki/nssdb", "cert9.db", "sql")
	put(".var/app/org.chromium.Chromium/data/pki/nssdb", "cert9.db", "sql")
	put(".var/app/org.mozilla.firefox/.mozilla/firefox/y.default", "cert9.db", "sql")
	got := nssProfiles()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
	t.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "conf"))
	put("data/pki/nssdb", "cert9.db", "sql")
	put("conf/mozilla/firefox/z.default", "cert9.db", "sql")
	if got := strings.Join(nssProfiles(), " "); !strings.Contains(got, "/data/pki/nssdb") || !strings.Contains(got, "/conf/mozilla/firefox/z.default") || strings.Contains(got, ".local/share") {
		t.Errorf("with XDG directories of their own: %s", got)
	}
}

// A command that could not change anything fails.
func TestTrustWithoutStores(t *testing.T) {
	for _, dry := range []bool{false, true} {
		var out buffer
		err := changeStores(&System{Stdout: &out}, []store{{name: "system", absent: "no program"}, {name: "browsers", absent: "none"}}, "/ca.pem", true, dry)
		if err == nil || !strings.Contains(nextstep.Of(err), "--cacert /ca.pem") {
			t.Errorf("%v: %s", err, out.String())
		}
	}
	if err := changeStores(&System{Stdout: &buffer{}}, []store{{name: "system", absent: "no program"}}, "/ca.pem", false, false); err != nil {
		t.Errorf("removing a CA from an absent store: %v", err)
	}
}

// Without certutil, an existing store can be neither read nor changed, and the command fails. If no browser has a store, the command
// succeeds.
func TestBrowserStoreWithoutCertutil(t *testing.T) {
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	for name, value := range map[string]string{"HOME": home, "USERPROFILE": home, "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "PATH": bin} {
		t.Setenv(name, value)
	}
	ca := makeCert(t, nil, ca("test CA")).cert
	if s := browserStore(ca, "/ca.pem"); s.absent == "" || strings.Contains(s.absent, "certutil") {
		t.Errorf("no store, no browser: %q", s.absent)
	}
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		if err := os.WriteFile(filepath.Join(bin, "chromium"), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if s := browserStore(ca, "/ca.pem"); !strings.Contains(s.absent, "install certutil") {
			t.Errorf("no store, but Chromium: %q", s.absent)
		}
	}
	dir := filepath.Join(home, ".mozilla", "firefox", "x.default")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "cert9.db"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, in := range []bool{true, false} {
		s := browserStore(ca, "/ca.pem")
		if s.absent != "" || s.upToDate(in) || !strings.Contains(s.blocked, dir) || !strings.Contains(s.step, "libnss3-tools") || len(s.add) == 0 {
			t.Errorf("in %v: absent %q, settled %v, cannot %q, step %q", in, s.absent, s.upToDate(in), s.blocked, s.step)
		}
	}
}
