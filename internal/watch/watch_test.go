package watch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

// run runs a watch until the test ends, and returns a channel that receives a value for every check of the files.
func run(t *testing.T, f *Files, poll time.Duration) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	checks, done := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx, poll, func() { checks <- struct{}{} })
	}()
	t.Cleanup(func() {
		cancel()
		bounded.Receive(t, done)
		f.Close()
	})
	return checks
}

func wantCheck(t *testing.T, checks <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-checks:
	case <-bounded.Context(t).Done():
		t.Fatalf("%s: no check", what)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A secret mounted by Kubernetes is a link through ..data, which points to a directory with a timestamp as its name.
func TestLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(at("one"), 0o700), os.Mkdir(at("two"), 0o700), os.WriteFile(at("one/file"), nil, 0o600),
		os.WriteFile(at("two/file"), nil, 0o600), os.Symlink("one", at("..data")), os.Symlink("..data/file", at("file")))
	dirs, names := watchTargets(at("file"))
	for _, want := range []string{dir, at("one")} {
		if !slices.Contains(dirs, want) {
			t.Errorf("%s is not watched: %v", want, dirs)
		}
	}
	for _, want := range []string{at("file"), at("..data"), at("one"), at("one/file")} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among the relevant paths: %v", want, names)
		}
	}

	f, err := New(at("file"))
	must(t, err)
	checks := run(t, f, time.Hour)
	must(t, os.Symlink("two", at("..new")), os.Rename(at("..new"), at("..data")))
	wantCheck(t, checks, "the link leads elsewhere")
	if got := f.notify.WatchList(); slices.Contains(got, at("one")) || !slices.Contains(got, at("two")) || !slices.Contains(got, dir) {
		t.Errorf("%v are watched", got)
	}
	must(t, os.WriteFile(at("two/file"), []byte("x"), 0o600))
	wantCheck(t, checks, "a file in the new directory is written")
	must(t, os.WriteFile(at("two/other"), nil, 0o600), os.WriteFile(at("one/file"), []byte("x"), 0o600))
	must(t, os.WriteFile(at("two/file"), []byte("y"), 0o600))
	wantCheck(t, checks, "it is written again")
	if len(checks) > 0 {
		t.Error("a change of another file causes a check")
	}
}

// The watched paths for a file include the file, its directory, and every link, at any level. Linux follows 40 links.
func TestSteps(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(at("real/a/b"), 0o700), os.Symlink("real", at("link")))
	_, names := watchTargets(at("link/a/b/file"))
	if want := []string{at("link"), at("real/a/b"), at("real/a/b/file")}; !slices.Equal(names, want) {
		t.Errorf("%v matter, want %v", names, want)
	}
	must(t, os.WriteFile(at("0"), nil, 0o600))
	for i := range maxLinks + 1 {
		must(t, os.Symlink(strconv.Itoa(i), at(strconv.Itoa(i+1))))
	}
	for links, want := range map[int]bool{maxLinks: true, maxLinks + 1: false} {
		_, names := watchTargets(at(strconv.Itoa(links)))
		if got := slices.Contains(names, at("0")); got != want {
			t.Errorf("through %d links the file is found: %v, want %v", links, got, want)
		}
	}
}

// A link to itself does not cause an endless loop.
func TestLinksInALoop(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink("b", filepath.Join(dir, "a")), os.Symlink("a", filepath.Join(dir, "b")))
	if dirs, _ := watchTargets(filepath.Join(dir, "a")); len(dirs) == 0 {
		t.Error("nothing is watched")
	}
}

func TestPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := Unwatched("file")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Second)
		defer cancel()
		n := 0
		f.Run(ctx, time.Minute, func() { n++ })
		if n != 10 {
			t.Errorf("%d checks in ten minutes", n)
		}
		f.Close()
	})
}

// The files are checked a moment after a change, but without a long delay if changes do not stop.
func TestQuiet(t *testing.T) {
	concerning, other := fsnotify.Event{Name: "/dir/file"}, fsnotify.Event{Name: "/dir/other"}
	for _, tt := range []struct {
		name   string
		feed   func(w *fsnotify.Watcher)
		checks []time.Duration
	}{
		{"a change", func(w *fsnotify.Watcher) { w.Events <- concerning }, []time.Duration{debounce}},
		{"of another file", func(w *fsnotify.Watcher) { w.Events <- other }, nil},
		{"all the time", func(w *fsnotify.Watcher) {
			for range 20 {
				w.Events <- concerning
				<-time.After(100 * time.Millisecond)
			}
		}, []time.Duration{maxDebounce}},
		{"changes were lost", func(w *fsnotify.Watcher) { w.Errors <- fsnotify.ErrEventOverflow }, []time.Duration{debounce}},
		{"and again", func(w *fsnotify.Watcher) {
			w.Errors <- fsnotify.ErrEventOverflow
			<-time.After(2 * maxDebounce)
			w.Errors <- fsnotify.ErrEventOverflow
		}, []time.Duration{debounce, 2*maxDebounce + debounce}},
		{"another error", func(w *fsnotify.Watcher) { w.Errors <- os.ErrInvalid }, nil},
		{"the watch has ended", func(w *fsnotify.Watcher) { close(w.Events); close(w.Errors) }, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &fsnotify.Watcher{Events: make(chan fsnotify.Event), Errors: make(chan error)}
			f := &Files{notify: w, names: []string{"/dir/file"}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour+time.Minute)
			defer cancel()
			go tt.feed(w)
			began := time.Now()
			var checks []time.Duration
			f.Run(ctx, time.Hour, func() { checks = append(checks, time.Since(began)) })
			if want := append(tt.checks, time.Hour); !slices.Equal(checks, want) {
				t.Errorf("%s: checks after %v, want %v", tt.name, checks, want)
			}
		})
	}
}
