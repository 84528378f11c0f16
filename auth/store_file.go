package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// statInterval is the minimum interval at which requests check a file of credentials for changes.
	statInterval = time.Second
	// storeFileMax is the maximum size of a file of users or of API keys, in bytes.
	storeFileMax = 16 << 20
	// fileSettleTime is how long after its last change a file is read once more although it looks unchanged: some file systems have a
	// time resolution of two seconds, so that a second change within that time is not visible.
	fileSettleTime = 2 * time.Second
)

// storeFile is a file of credentials that is read again when it has changed. It has no goroutine of its own: a caller of load
// checks the file first, at most once a second. It follows symbolic links, so that a change of a link counts as a change of the
// file.
type storeFile[T any] struct {
	name    string
	max     int // bytes
	parse   func(name, text string) (T, error)
	onError func(error) // may be nil
	now     func() time.Time

	mu        sync.Mutex
	seen      fs.FileInfo // the file's attributes when it was last read
	changedAt time.Time   // when the file first had these attributes; zero if it has settled
	digest    [sha256.Size]byte
	checkedAt time.Time
	value     T
}

// openStoreFile reads the file for the first time.
func openStoreFile[T any](name string, parse func(name, text string) (T, error), onError func(error)) (*storeFile[T], error) {
	f := newStoreFile(name, storeFileMax, parse, onError)
	if err := f.reload(); err != nil {
		return nil, err
	}
	return f, nil
}

func newStoreFile[T any](name string, max int, parse func(name, text string) (T, error), onError func(error)) *storeFile[T] {
	return &storeFile[T]{name: name, max: max, parse: parse, onError: onError, now: time.Now}
}

// load returns the content. If the file is invalid or missing, the content is unchanged, and the error is reported once.
func (f *storeFile[T]) load() T {
	f.mu.Lock()
	now := f.now()
	if age := now.Sub(f.checkedAt); age >= 0 && age < statInterval {
		defer f.mu.Unlock()
		return f.value
	}
	f.checkedAt = now
	err := f.read(false)
	value := f.value
	f.mu.Unlock()
	if err != nil && f.onError != nil {
		f.onError(err)
	}
	return value
}

// reload reads the file now, whether it has changed or not. If there is an error, the content is unchanged.
func (f *storeFile[T]) reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkedAt = f.now()
	return f.read(true)
}

// read reads the file if it looks changed, or if force is true. The caller holds f.mu.
func (f *storeFile[T]) read(force bool) error {
	info, err := os.Stat(f.name)
	if err != nil {
		reported := f.seen == nil
		f.seen = nil // so that the file is read when it reappears
		if reported && !force {
			return nil
		}
		return err
	}
	same := f.seen != nil && sameFile(info, f.seen)
	if same && !force && f.changedAt.IsZero() {
		return nil
	}
	if now := f.now(); !same {
		f.changedAt = now
	} else if now.Sub(f.changedAt) >= fileSettleTime {
		f.changedAt = time.Time{}
	}
	f.seen = info
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		if f.changedAt = (time.Time{}); same && !force {
			return nil
		}
		return fmt.Errorf("%s is not a regular file", f.name)
	}
	text, err := readStoreFile(f.name, f.max)
	digest := sha256.Sum256([]byte(text))
	if err != nil {
		digest = sha256.Sum256([]byte(err.Error()))
	}
	if same && !force && digest == f.digest {
		return nil
	}
	f.digest = digest
	if err != nil {
		return err
	}
	value, err := f.parse(f.name, text)
	if err != nil {
		return err
	}
	f.value = value
	return nil
}

// sameFile reports whether a file looks unchanged.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// readStoreFile reads a whole file, up to a maximum size.
func readStoreFile(name string, max int) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, int64(max)+1))
	if err == nil && len(b) > max {
		err = fmt.Errorf("%s: larger than %d bytes", name, max)
	}
	return string(b), err
}

// eachLine calls fn for every line that is neither empty nor a comment, and adds the line number to its errors.
func eachLine(name, text string, fn func(line string) error) error {
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := fn(line); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, number, err))
		}
	}
	return errors.Join(errs...)
}
