package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Concurrent callers get the same secret, which does not change.
func TestSecretIsMadeOnce(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	got := make([]string, 20)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			var err error
			if got[i], err = Secret("app"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, s := range got {
		if s != got[0] || len(s) != 48 {
			t.Errorf("%q, %q", s, got[0])
		}
	}
	if again, err := Secret("app"); err != nil || again != got[0] {
		t.Errorf("%q, %v", again, err)
	}
	if other, err := Secret("other"); err != nil || other == got[0] {
		t.Errorf("%q, %v", other, err)
	}
	left, err := os.ReadDir(filepath.Join(home, "handfast"))
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	for _, f := range left {
		if info, err := f.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

// A secret file that others can read, that is invalid, or that cannot be created causes an error, which does not contain the file's
// content.
func TestSecretFileThatIsInvalid(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	secret, err := Secret("app")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "app")
	for _, change := range []func() error{
		func() error { return os.Chmod(file, 0o644) },
		func() error {
			return errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte("half of "+secret[:20]), 0o600))
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if got, err := Secret("app"); err == nil || strings.Contains(err.Error(), secret[:20]) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "file"))
	if got, err := Secret("app"); err == nil {
		t.Errorf("%q", got)
	}
}
