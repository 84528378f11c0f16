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
	// statInterval is how often a file of credentials is looked at, by a request that needs it.
	statInterval = time.Second
	// storeFileMax is how large a file of users or of API keys may be, in bytes.
	storeFileMax = 16 << 20
	// fileSettles is how long after its last change a file is read once more although it looks the same: some file systems
	// count in steps of two seconds, and a second change within a step does not show.
	fileSettles = 2 * time.Second
)

// storeFile is a file of credentials that is read again when it has changed. It has no goroutine of its own: a caller that
// wants its content looks at the file first, at most once a second. It follows symbolic links, so that a change of where
// one of them leads is a change of the file.
type storeFile[T any] struct {
	name    string
	max     int // bytes
	parse   func(name, text string) (T, error)
	onError func(error) // may be nil
	now     func() time.Time

	mu     sync.Mutex
	seen   fs.FileInfo // what it looked like when it was read
	since  time.Time   // when it first looked like that; zero if it has settled
	digest [sha256.Size]byte
	looked time.Time
	value  T
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

// load returns the content. A file that is broken or gone changes nothing, except that the error is reported, once.
func (f *storeFile[T]) load() T {
	f.mu.Lock()
	now := f.now()
	if age := now.Sub(f.looked); age >= 0 && age < statInterval {
		defer f.mu.Unlock()
		return f.value
	}
	f.looked = now
	err := f.read(false)
	value := f.value
	f.mu.Unlock()
	if err != nil && f.onError != nil {
		f.onError(err)
	}
	return value
}

// reload reads the file now, changed or not. On an error the content stays what it was.
func (f *storeFile[T]) reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = f.now()
	return f.read(true)
}

// read reads the file if it looks different from last time, or anyway. f.mu is held.
func (f *storeFile[T]) read(anyway bool) error {
	info, err := os.Stat(f.name)
	if err != nil {
		told := f.seen == nil
		f.seen = nil // when it comes back it is read
		if told && !anyway {
			return nil
		}
		return err
	}
	same := f.seen != nil && sameFile(info, f.seen)
	if same && !anyway && f.since.IsZero() {
		return nil
	}
	if now := f.now(); !same {
		f.since = now
	} else if now.Sub(f.since) >= fileSettles {
		f.since = time.Time{}
	}
	f.seen = info
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		if f.since = (time.Time{}); same && !anyway {
			return nil
		}
		return fmt.Errorf("%s is not a regular file", f.name)
	}
	text, err := readStoreFile(f.name, f.max)
	digest := sha256.Sum256([]byte(text))
	if err != nil {
		digest = sha256.Sum256([]byte(err.Error()))
	}
	if same && !anyway && digest == f.digest {
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

// sameFile reports whether a file looks as it did.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// readStoreFile reads a whole file that is not too large.
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

// eachLine calls fn for every line that is neither empty nor a comment, and says for each error where it stands.
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
