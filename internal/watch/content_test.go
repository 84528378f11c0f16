package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A step changes the file; then the next Check that looks at it returns text or an error, and further ones return no change.
func TestContent(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, sub := range []string{"..1", "..2"} {
		must(t, os.Mkdir(at(sub), 0o700), os.WriteFile(at(sub+"/file"), []byte(sub), 0o600))
	}
	must(t, os.Symlink("..1", at("..data")), os.Symlink("..data/file", at("file")))
	replace := func(text string) func() error {
		return func() error {
			must(t, os.WriteFile(at("new"), []byte(text), 0o600))
			return os.Rename(at("new"), at("file"))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := NewContent(at("file"), 10)
		if text, err := c.Read(); text != "..1" || err != nil {
			t.Fatalf("Read() = %q, %v", text, err)
		}
		for _, step := range []struct {
			name   string
			change func() error
			text   string
			err    string
		}{
			{"a link leads elsewhere", func() error {
				must(t, os.Symlink("..2", at("next")))
				return os.Rename(at("next"), at("..data"))
			}, "..2", ""},
			{"replaced", replace("three"), "three", ""},
			{"too large", replace(strings.Repeat("x", 11)), "", "larger than 10 bytes"},
			{"of the maximum size", replace(strings.Repeat("x", 10)), strings.Repeat("x", 10), ""},
			{"removed", func() error { return os.Remove(at("file")) }, "", "no such file"},
			{"there again", replace("four"), "four", ""},
			{"a directory", func() error {
				must(t, os.Remove(at("file")))
				return os.Mkdir(at("file"), 0o700)
			}, "", "not a regular file"},
		} {
			must(t, step.change())
			if _, changed, _ := c.Check(); changed {
				t.Errorf("%s: the file is looked at twice within %v", step.name, CheckInterval)
			}
			<-time.After(CheckInterval)
			text, changed, err := c.Check()
			switch {
			case !changed:
				t.Errorf("%s: no change", step.name)
			case step.err != "":
				if err == nil || !strings.Contains(err.Error(), step.err) {
					t.Errorf("%s: error %v, want %q", step.name, err, step.err)
				}
			case text != step.text || err != nil:
				t.Errorf("%s: %q, %v; want %q", step.name, text, err, step.text)
			}
			for range 3 {
				<-time.After(CheckInterval)
				if _, changed, err := c.Check(); changed || err != nil {
					t.Errorf("%s: reported again: %v", step.name, err)
				}
			}
		}
		must(t, os.Remove(at("file")))
		if _, err := c.Read(); err == nil {
			t.Error("Read without a file: no error")
		}
	})
}

// A file that is written twice within one tick of the file system's clock looks unchanged if its length is also the same. The new
// content is found nevertheless; once the file has been unchanged for a while, it is no longer read.
func TestContentChangedTwiceInOneTick(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	synctest.Test(t, func(t *testing.T) {
		stamp := time.Now()
		write := func(text string) {
			t.Helper()
			must(t, os.WriteFile(name, []byte(text), 0o600), os.Chtimes(name, stamp, stamp))
		}
		write("old")
		c := NewContent(name, 10)
		_, err := c.Read()
		must(t, err)
		write("new")
		<-time.After(CheckInterval)
		if text, changed, err := c.Check(); text != "new" || !changed || err != nil {
			t.Errorf("Check() = %q, %v, %v", text, changed, err)
		}
		<-time.After(settleTime)
		if _, changed, _ := c.Check(); changed || !c.changedAt.IsZero() {
			t.Errorf("changed %v; the file is read repeatedly: %v", changed, !c.changedAt.IsZero())
		}
	})
}
