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

// poll is how often the files are looked at in any case: some file systems report no changes.
const poll = time.Minute

// Watch notices when what is in one of a configuration's files (see [Config.Files]) has become something else than what the
// configuration was made of: a change between [Load] and NewWatch counts, too. It notices a file that is written, one that
// another takes the place of (as editors do), and a symbolic link on the way to it that leads elsewhere (as Kubernetes does
// with mounted secrets). A file that is gone is a change when it is back.
type Watch struct {
	files []string
	ways  *watch.Files

	mu   sync.Mutex                   // held while it looks, and while it reports what it saw
	seen map[string][sha256.Size]byte // what was in each file
}

// NewWatch begins to watch the files of c. The error is about a watch that the system does not give.
func NewWatch(c *Config) (*Watch, error) { return newWatch(c.tree().Files(), c.tree().Sums()) }

func newWatch(files []string, seen map[string][sha256.Size]byte) (*Watch, error) {
	ways, err := watch.New(files...)
	if err != nil {
		ways.Close()
		return nil, fmt.Errorf("watch the configuration: %w", err)
	}
	w := &Watch{files: files, ways: ways, seen: map[string][sha256.Size]byte{}}
	maps.Copy(w.seen, seen)
	return w, nil
}

// Run calls changed for every change until ctx ends. It is called once.
func (w *Watch) Run(ctx context.Context, changed func()) {
	defer w.ways.Close()
	look := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.look() {
			changed()
		}
	}
	look()
	w.ways.Run(ctx, poll, look)
}

// Skip takes what is in the files now as known, for a caller that reads them next in any case. When it returns, changed has
// returned for everything that was in the files before.
func (w *Watch) Skip() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
}

// look reads the files, and reports whether one has something else in it than before.
func (w *Watch) look() bool {
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
