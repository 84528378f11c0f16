package config

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// watching watches files and returns a channel that receives a value for every change.
func watching(t *testing.T, files ...string) <-chan struct{} {
	t.Helper()
	seen := map[string][sha256.Size]byte{}
	for _, file := range files {
		seen[file], _ = digest(file) // the file exists
	}
	w, err := newWatch(files, seen) // created here rather than in the goroutine, so that changes are seen from now on
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, func() { changes <- struct{}{} })
	}()
	t.Cleanup(func() {
		cancel()
		bounded.Receive(t, done)
	})
	return changes
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "handfast.yaml"), filepath.Join(dir, "secret")
	write(t, file, "one")
	write(t, secret, "s")
	changes := watching(t, file, secret)

	write(t, file, "two")
	bounded.Receive(t, changes)
	next := filepath.Join(dir, "next") // the file is replaced by a rename, as editors do it
	write(t, next, "three")
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	bounded.Receive(t, changes)
	write(t, file, "four") // the new file is watched, too
	bounded.Receive(t, changes)
	if err := os.Remove(file); err != nil { // a removed file counts as changed only when it exists again
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "other"), "x")
	write(t, secret, "t")
	bounded.Receive(t, changes)
	write(t, file, "five")
	bounded.Receive(t, changes)
	write(t, file, "five") // the content does not change, so the next change reported must be that of secret
	write(t, secret, "u")
	bounded.Receive(t, changes)
	if len(changes) != 0 {
		t.Errorf("%d additional changes", len(changes))
	}
}

// A mounted secret of Kubernetes: the file is a link through ..data, which is a link that is replaced by a rename.
func TestWatchSymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"..1", "..2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "handfast.yaml"), version)
	}
	link("..1", "..data")
	link("..data/handfast.yaml", "handfast.yaml")
	changes := watching(t, filepath.Join(dir, "handfast.yaml"))
	link("..2", "..data_tmp")
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	bounded.Receive(t, changes)
	write(t, filepath.Join(dir, "..2", "handfast.yaml"), "in place") // the new target is watched
	bounded.Receive(t, changes)
}

func TestWatchNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	of := func(file string) error {
		w, err := newWatch([]string{file}, nil)
		if err == nil {
			w.Run(ctx, func() {})
		}
		return err
	}
	if err := of(filepath.Join(t.TempDir(), "x")); err != nil {
		t.Errorf("a missing file: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "no")
	if err := of(filepath.Join(dir, "x")); err != nil {
		t.Errorf("a missing directory: %v", err)
	}
	changes := watching(t, filepath.Join(dir, "x"))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "x"), "one")
	bounded.Receive(t, changes) // the watch also notices a file in a directory that did not exist before
}

// A change between loading and watching is reported like a later one.
func TestWatchSeesWhatChangedBefore(t *testing.T) {
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "handfast.yaml"), filepath.Join(dir, "token")
	write(t, file, served("admin: {token_file: token}\n"))
	write(t, secret, "a secret that is long enough")
	for _, change := range []string{"", file, secret} {
		c, err := Load(Sources{File: file})
		if err != nil {
			t.Fatal(err)
		}
		if change != "" {
			write(t, change, "x")
		} else {
			write(t, filepath.Join(dir, "other"), "x")
		}
		ctx, cancel := context.WithCancel(t.Context())
		changes := 0
		if change == "" {
			cancel() // Run checks the files once before it returns
		}
		w, err := NewWatch(c)
		if err != nil {
			t.Fatal(err)
		}
		w.Run(ctx, func() { changes++; cancel() })
		cancel()
		if want := min(1, len(change)); changes != want {
			t.Errorf("%q: %d changes", change, changes)
		}
		write(t, file, served("admin: {token_file: token}\n"))
		write(t, secret, "a secret that is long enough")
	}
}

// A change that the caller has already read is not reported again; later ones are.
func TestWatchSkip(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Run checks the files once before it returns
	for later, want := range map[string]int{"two": 0, "three": 1} {
		file := filepath.Join(t.TempDir(), "handfast.yaml")
		write(t, file, "one")
		w, err := newWatch([]string{file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, "two")
		w.Skip()
		write(t, file, later)
		changes := 0
		w.Run(ctx, func() { changes++ })
		if changes != want {
			t.Errorf("%s: %d changes", later, changes)
		}
	}
}
