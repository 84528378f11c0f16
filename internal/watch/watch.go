// Package watch reports when files may have changed, however they are replaced: written, renamed over, or through a symbolic
// link, as Kubernetes does with mounted secrets.
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

// An editor or a deployment makes several changes, and a file may be written in several pieces.
const (
	quietTime = 200 * time.Millisecond // without a change, before the files are looked at
	quietMost = 2 * time.Second        // and when there are changes all the time
)

// Files is a watch on files. It watches the directories that lead to them: of each file, of every symbolic link on the way to
// it, and of the directory that it is in. Its methods are for one goroutine.
type Files struct {
	paths  []string
	notify *fsnotify.Watcher // nil if there is none, and only polls look at the files
	dirs   []string          // that are watched
	names  []string          // the paths in these that lead to the files
}

// New begins to watch: changes from now on count for Run. The error says that the system gives no watch, mostly for lack of
// resources; Run then depends on its polls. Close is called in any case.
func New(paths ...string) (*Files, error) {
	f := Unwatched(paths...)
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return f, err
	}
	f.notify = notify
	f.follow()
	return f, nil
}

// Unwatched returns Files that are not watched, as on a file system that reports no changes.
func Unwatched(paths ...string) *Files { return &Files{paths: paths} }

// Close ends the watch.
func (f *Files) Close() {
	if f.notify != nil {
		_ = f.notify.Close() // nothing depends on what the system says about that
	}
}

// follow watches the ways to all files, as they are now.
func (f *Files) follow() {
	if f.notify == nil {
		return
	}
	var dirs, names []string
	for _, path := range f.paths {
		d, n := steps(path)
		dirs, names = append(dirs, d...), append(names, n...)
	}
	for _, dir := range f.dirs {
		if !slices.Contains(dirs, dir) {
			_ = f.notify.Remove(dir) // it may be gone, and the watch with it
		}
	}
	for _, dir := range dirs {
		_ = f.notify.Add(dir) // again, too: it may be another directory by that name. What cannot be watched is polled.
	}
	f.dirs, f.names = dirs, names
}

// concerns reports whether a path that something happened to leads to one of the files.
func (f *Files) concerns(path string) bool {
	return slices.Contains(f.names, path) || slices.Contains(f.dirs, path)
}

// steps returns the directories to watch for changes of what is at path, and the paths that matter in them: those of
// the file, of every symbolic link on the way, and of the directory that the file is in, which may be replaced as well.
func steps(path string) (dirs, names []string) {
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
			continue // no link, or nothing there yet
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

// maxLinks is how many symbolic links lead to a file at most: as many as Linux follows.
const maxLinks = 40

// Run calls look when the files may have changed and have been left alone for a moment, and every poll, since some file systems
// report no changes, until ctx ends.
func (f *Files) Run(ctx context.Context, poll time.Duration, look func()) {
	var events <-chan fsnotify.Event
	var failures <-chan error
	if f.notify != nil {
		events, failures = f.notify.Events, f.notify.Errors
	}
	polls := time.NewTicker(poll)
	defer polls.Stop()
	quiet := time.NewTimer(quietMost)
	defer quiet.Stop()
	quiet.Stop() // nothing has happened yet
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
			if !f.concerns(event.Name) {
				continue
			}
		case err, ok := <-failures:
			if !ok {
				failures = nil
				continue
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				continue // the poll finds out
			}
		case <-polls.C:
			due = true
		case <-quiet.C:
			due = true
		}
		if due {
			first = time.Time{}
			f.follow() // before they are read: the way to them may be another one now
			look()
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		quiet.Reset(min(quietTime, quietMost-now.Sub(first)))
	}
}
