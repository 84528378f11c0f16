package freename

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOf(t *testing.T) {
	t.Chdir(t.TempDir())
	for i, want := range []string{"key.pem", "key-2.pem", "key-3.pem"} {
		got := Of("key.pem")
		if got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
		if err := os.WriteFile(got, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", "secret"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if got := Of("secret"); got != "secret-2" {
		t.Errorf("a dangling link: %s", got)
	}
	if got := Of(filepath.Join(dir, "a.b", "c")); got != filepath.Join(dir, "a.b", "c") {
		t.Errorf("in a missing directory: %s", got)
	}
}
