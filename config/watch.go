package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long it has to be quiet before a change counts: an editor or a deployment makes several.
	settle = 100 * time.Millisecond
	// settleAtMost bounds that for a file that is written all the time.
	settleAtMost = 2 * time.Second
	// poll is how often the files are looked at in any case: some file systems tell nobody.
	poll = time.Minute
)

// Watch calls changed when what is in one of c's files (see [Config.Files]) has become something else than what c was made
// of, until ctx ends: a change between [Load] and Watch counts, too. It notices a file that is written, one that another
// takes the place of (as editors do), and a symbolic link on the way to it that leads elsewhere (as Kubernetes does with
// mounted secrets). A file that is gone is a change when it is back.
//
// changed is called from the goroutine that Watch runs in. The error is about a watch that the system does not give;
// the end of ctx is none.
func Watch(ctx context.Context, c *Config, changed func()) error {
	w, err := newWatcher(c.source.files, c.source.sums)
	if err != nil {
		return err
	}
	defer w.close()
	return w.run(ctx, changed)
}

type watcher struct {
	files  []string
	notify *fsnotify.Watcher
	seen   map[string][sha256.Size]byte // what was in each file
}

// newWatcher watches files in which there was what seen says; what is there now is looked at by run.
func newWatcher(files []string, seen map[string][sha256.Size]byte) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the configuration: %w", err)
	}
	w := &watcher{files: files, notify: notify, seen: map[string][sha256.Size]byte{}}
	maps.Copy(w.seen, seen)
	if err := w.follow(); err != nil {
		w.close()
		return nil, fmt.Errorf("watch the configuration: %w", err)
	}
	return w, nil
}

// close ends the watch. Its error says what the system thinks of that; nobody can do anything about it.
func (w *watcher) close() { _ = w.notify.Close() }

// follow watches the directories of the files, and those of everything that their links lead through: a watch on a file
// itself ends with the first rename.
func (w *watcher) follow() error {
	for _, file := range w.files {
		for range 40 { // as many links as Linux follows
			if err := w.notify.Add(filepath.Dir(file)); err != nil {
				return err
			}
			if real, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil {
				file = filepath.Join(real, filepath.Base(file))
				if err := w.notify.Add(real); err != nil {
					return err
				}
			}
			to, err := os.Readlink(file)
			if err != nil {
				break // it is no link
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(file), to)
			}
			file = to
		}
	}
	return nil
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
	if _, err := io.Copy(h, io.LimitReader(f, maxFile+1)); err != nil {
		return sum, false
	}
	return [sha256.Size]byte(h.Sum(nil)), true
}

func (w *watcher) run(ctx context.Context, changed func()) error {
	polls := time.NewTicker(poll)
	defer polls.Stop()
	quiet := time.NewTimer(0)
	quiet.Stop()
	defer quiet.Stop()
	var first time.Time // the first event since the last look
	if w.look() {
		changed()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.notify.Events:
			if !ok {
				return nil
			}
			if first.IsZero() {
				first = time.Now()
			}
			quiet.Reset(max(0, min(settle, settleAtMost-time.Since(first))))
			continue
		case err := <-w.notify.Errors: // events were lost: look
			if err == nil {
				return nil // it is closed
			}
		case <-polls.C:
		case <-quiet.C:
		}
		first = time.Time{}
		// A directory that is not there at the moment, as while a link is swapped, is watched again when it is back.
		lost := w.follow() != nil
		if w.look() {
			changed()
		}
		if lost {
			quiet.Reset(settleAtMost)
		}
	}
}
