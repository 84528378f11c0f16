// Package watch reports when files may have changed, whether a file is written in place, replaced by a rename, or replaced by a
// change of a symbolic link, as in secrets mounted by Kubernetes. [Files] calls a function when that happens; [Content] looks when it
// is asked.
package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// An editor or a deployment makes several changes, and a file may be written in several pieces, so the files are only checked
// after a quiet period.
const (
	debounce    = 200 * time.Millisecond // period without a change before the files are checked
	maxDebounce = 2 * time.Second        // maximum delay if changes continue
)

// Files is a watch on files. For each file it watches the directory of the file, the parent of that directory, and the directory of
// every symbolic link on the path. It is not safe for concurrent use.
type Files struct {
	paths  []string
	notify *fsnotify.Watcher // nil if there is none, and the files are only polled
	dirs   []string          // the watched directories
	names  []string          // the paths in dirs that lead to the files
}

// New starts to watch: Run reports changes from now on. The error means that the system provides no watch, usually because of a
// lack of resources; Run then only polls. Close must be called in any case.
func New(paths ...string) (*Files, error) {
	f := Unwatched(paths...)
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return f, err
	}
	f.notify = notify
	f.updateWatches()
	return f, nil
}

// Unwatched returns Files that are not watched, as on a file system that reports no changes.
func Unwatched(paths ...string) *Files { return &Files{paths: paths} }

// Close ends the watch.
func (f *Files) Close() {
	if f.notify != nil {
		_ = f.notify.Close() // a failed close has no consequences
	}
}

// updateWatches watches the current paths to all files.
func (f *Files) updateWatches() {
	if f.notify == nil {
		return
	}
	var dirs, names []string
	for _, path := range f.paths {
		d, n := watchTargets(path)
		dirs, names = append(dirs, d...), append(names, n...)
	}
	for _, dir := range f.dirs {
		if !slices.Contains(dirs, dir) {
			_ = f.notify.Remove(dir) // the directory may have been removed, which has ended its watch
		}
	}
	for _, dir := range dirs {
		_ = f.notify.Add(dir) // a watched path may be a new directory; paths that cannot be watched are polled
	}
	f.dirs, f.names = dirs, names
}

// isRelevant reports whether a changed path leads to one of the files.
func (f *Files) isRelevant(path string) bool {
	return slices.Contains(f.names, path) || slices.Contains(f.dirs, path)
}

// watchTargets returns the directories to watch for a file at path, and the relevant paths in them: those of the file, of every symbolic
// link, and of the directory of the file, which may be replaced as well.
func watchTargets(path string) (dirs, names []string) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, nil
	}
	step := func(at string) {
		dirs, names = append(dirs, filepath.Dir(at)), append(names, at)
	}
	volume := filepath.VolumeName(abs)
	at := volume + string(filepath.Separator)
	todo := strings.Split(strings.TrimPrefix(abs, at), string(filepath.Separator))
	for links := 0; len(todo) > 0 && links <= maxLinks; {
		at = filepath.Join(at, todo[0])
		todo = todo[1:]
		if len(todo) <= 1 {
			step(at)
		}
		target, err := os.Readlink(at)
		if err != nil {
			continue // the path is not a link, or does not exist yet
		}
		links++
		step(at)
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		at = filepath.VolumeName(target) + string(filepath.Separator)
		todo = append(strings.Split(strings.TrimPrefix(filepath.Clean(target), at), string(filepath.Separator)), todo...)
	}
	return dirs, names
}

// maxLinks is the maximum number of symbolic links to a file: the same as in Linux.
const maxLinks = 40

// Run calls look when the files may have changed and no further change has followed for a moment, and at the interval poll, because
// some file systems report no changes. It returns when ctx is done.
func (f *Files) Run(ctx context.Context, poll time.Duration, look func()) {
	var events <-chan fsnotify.Event
	var failures <-chan error
	if f.notify != nil {
		events, failures = f.notify.Events, f.notify.Errors
	}
	polls := time.NewTicker(poll)
	defer polls.Stop()
	quiet := time.NewTimer(maxDebounce)
	defer quiet.Stop()
	quiet.Stop() // no change has been reported yet
	var first time.Time
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if !f.isRelevant(event.Name) {
				continue
			}
		case err, ok := <-failures:
			if !ok {
				failures = nil
				continue
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				continue // the next poll finds the change
			}
		case <-polls.C:
			due = true
		case <-quiet.C:
			due = true
		}
		if due {
			first = time.Time{}
			f.updateWatches() // before the files are read, because the path to them may have changed
			look()
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		quiet.Reset(min(debounce, maxDebounce-now.Sub(first)))
	}
}
