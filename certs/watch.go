package certs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Whoever replaces a certificate and its key does it in several steps, and a file may be written in several pieces.
const (
	quietTime = 200 * time.Millisecond // without a change, before the files are read
	quietMost = 2 * time.Second        // and when there are changes all the time
)

// watch is told when what lies at some paths may have changed. Its methods are for one goroutine.
type watch struct {
	notify *fsnotify.Watcher // nil: there is none, and files are looked at now and then
	err    error             // why there is none
	dirs   []string          // what is watched
	names  []string          // the paths in these that lead to the files
}

// newWatch returns a watch of nothing. Where the system has none, for the lack of resources mostly, it says so in err.
func newWatch(off bool) *watch {
	w := &watch{}
	if off {
		return w
	}
	if w.notify, w.err = fsnotify.NewWatcher(); w.err != nil {
		w.notify = nil
		w.err = &Error{"files", fmt.Errorf("cannot be watched: %w", w.err),
			"raise fs.inotify.max_user_instances; until then changes are seen a little later"}
	}
	return w
}

// follow watches the ways to all files of the parts, as they are now.
func (w *watch) follow(parts []*part) {
	if w.notify == nil {
		return
	}
	var dirs, names []string
	for _, part := range parts {
		for _, path := range part.paths {
			d, n := steps(path)
			dirs, names = append(dirs, d...), append(names, n...)
		}
	}
	slices.Sort(dirs)
	dirs = slices.Compact(dirs)
	for _, dir := range w.dirs {
		if !slices.Contains(dirs, dir) {
			_ = w.notify.Remove(dir) // it may be gone, and the watch with it
		}
	}
	for _, dir := range dirs {
		_ = w.notify.Add(dir) // again, too: it may be another directory by that name. What cannot be watched is polled.
	}
	w.dirs, w.names = dirs, names
}

// concerns reports whether a path that something happened to leads to one of the files.
func (w *watch) concerns(path string) bool {
	return slices.Contains(w.names, path) || slices.Contains(w.dirs, path)
}

func (w *watch) close() {
	if w.notify != nil {
		_ = w.notify.Close()
	}
}

// steps returns the directories to watch for changes of what lies at path, and the paths that matter in them: those of
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
	for links := 0; len(todo) > 0 && links < maxLinks; {
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

// maxLinks is where a chain of symbolic links is a circle; Linux has the same.
const maxLinks = 40

// watch looks at the files after they have changed, and now and then, until Close.
func (p *Provider) watch(w *watch) {
	defer w.close()
	var events <-chan fsnotify.Event
	var failures <-chan error
	if w.notify != nil {
		events, failures = w.notify.Events, w.notify.Errors
	}
	poll := time.NewTicker(p.opts.Poll)
	defer poll.Stop()
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	quiet.Stop() // nothing has happened yet
	var first time.Time
	for {
		select {
		case <-p.alive.Done():
			return
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if !w.concerns(event.Name) {
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
		case <-poll.C:
			first = time.Time{}
			w.follow(p.parts)
			_ = p.look() // whoever wants to know is told
			continue
		case <-quiet.C:
			first = time.Time{}
			w.follow(p.parts) // before they are read: the way to them may be another one now
			_ = p.look()
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		quiet.Reset(min(quietTime, max(0, quietMost-now.Sub(first))))
	}
}
