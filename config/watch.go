package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/handfast/handfast/config/internal/tree"
	"github.com/handfast/handfast/internal/watch"
)

// pollInterval is the interval at which the files are checked in addition to being watched, because some file systems report no
// changes.
const pollInterval = time.Minute

// Watch reports changes of a configuration's files (see [Config.Files]). Watch compares the contents with those from which the
// configuration was loaded, so it also reports a change between [Load] and NewWatch. It follows files that are overwritten, files that are
// replaced by a rename (as editors do), and symbolic links that are redirected (as Kubernetes does with mounted secrets). A removed file
// counts as changed only when it exists again.
type Watch struct {
	files   []string
	watcher *watch.Files

	mu   sync.Mutex                   // held during a check, and during the call that reports a change
	seen map[string][sha256.Size]byte // the digest of each file's last known content
}

// NewWatch starts to watch the files of c. A non-nil error means that the system cannot watch files.
func NewWatch(c *Config) (*Watch, error) { return newWatch(c.tree().Files(), c.tree().Sums()) }

func newWatch(files []string, seen map[string][sha256.Size]byte) (*Watch, error) {
	watcher, err := watch.New(files...)
	if err != nil {
		watcher.Close()
		return nil, fmt.Errorf("watch the configuration: %w", err)
	}
	w := &Watch{files: files, watcher: watcher, seen: map[string][sha256.Size]byte{}}
	maps.Copy(w.seen, seen)
	return w, nil
}

// Run calls changed for every change until ctx ends. It must be called only once.
func (w *Watch) Run(ctx context.Context, changed func()) {
	defer w.watcher.Close()
	look := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.update() {
			changed()
		}
	}
	look()
	w.watcher.Run(ctx, pollInterval, look)
}

// Skip treats the current content of the files as known, for a caller that is about to read the files anyway. When Skip returns, the calls
// of changed for earlier changes have returned.
func (w *Watch) Skip() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.update()
}

// update reads the files, and reports whether the content of any of them has changed.
func (w *Watch) update() bool {
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
		return sum, false // a pipe can be read only once, and reading it waits for a writer
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
