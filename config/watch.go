package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/handfast/handfast/config/internal/tree"
	"github.com/handfast/handfast/internal/watch"
)

// poll is how often the files are looked at in any case: some file systems report no changes.
const poll = time.Minute

// Watch calls changed when what is in one of c's files (see [Config.Files]) has become something else than what c was made
// of, until ctx ends: a change between [Load] and Watch counts, too. It notices a file that is written, one that another
// takes the place of (as editors do), and a symbolic link on the way to it that leads elsewhere (as Kubernetes does with
// mounted secrets). A file that is gone is a change when it is back.
//
// changed is called from the goroutine that Watch runs in. The error is about a watch that the system does not give;
// the end of ctx is none.
func Watch(ctx context.Context, c *Config, changed func()) error {
	w, err := newWatcher(c.tree().Files(), c.tree().Sums())
	if err != nil {
		return err
	}
	defer w.ways.Close()
	w.run(ctx, changed)
	return nil
}

type watcher struct {
	files []string
	ways  *watch.Files
	seen  map[string][sha256.Size]byte // what was in each file
}

// newWatcher watches files in which there was what seen says; what is there now is looked at by run.
func newWatcher(files []string, seen map[string][sha256.Size]byte) (*watcher, error) {
	ways, err := watch.New(files...)
	if err != nil {
		return nil, fmt.Errorf("watch the configuration: %w", err)
	}
	w := &watcher{files: files, ways: ways, seen: map[string][sha256.Size]byte{}}
	maps.Copy(w.seen, seen)
	return w, nil
}

// look reads the files, and reports whether one has something else in it than before.
func (w *watcher) look() bool {
	changed := false
	for _, file := range w.files {
		sum, ok := digest(file)
		if ok && sum != w.seen[file] {
			w.seen[file] = sum
			changed = true
		}
	}
	return changed
}

func digest(file string) (sum [sha256.Size]byte, ok bool) {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return sum, false // a pipe can be read once, and waits for who writes into it
	}
	f, err := os.Open(file)
	if err != nil {
		return sum, false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, tree.MaxFile+1)); err != nil {
		return sum, false
	}
	return [sha256.Size]byte(h.Sum(nil)), true
}

func (w *watcher) run(ctx context.Context, changed func()) {
	look := func() {
		if w.look() {
			changed()
		}
	}
	look()
	w.ways.Run(ctx, poll, look)
}
