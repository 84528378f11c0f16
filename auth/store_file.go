package auth

import (
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
	// storeFileLook is how often a file of credentials is looked at, by a request that needs it.
	storeFileLook = time.Second
	// storeFileMax is how large such a file may be, in bytes.
	storeFileMax = 16 << 20
)

// storeFile is a file of credentials that is read again when it has changed. There is no goroutine behind it: whoever
// wants its content looks at the file first, at most once a second. It follows symbolic links, so that a change of where
// one of them leads is a change of the file.
type storeFile[T any] struct {
	name    string
	parse   func(name, text string) (T, error)
	onError func(error) // may be nil

	mu     sync.Mutex
	seen   fs.FileInfo // what it looked like when it was read
	looked time.Time
	value  T
}

// openStoreFile reads the file for the first time.
func openStoreFile[T any](name string, parse func(name, text string) (T, error), onError func(error)) (*storeFile[T], error) {
	f := &storeFile[T]{name: name, parse: parse, onError: onError}
	if err := f.reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// load returns the content. A file that is broken or gone changes nothing, but that the error is told, once.
func (f *storeFile[T]) load() T {
	f.mu.Lock()
	now := time.Now()
	if now.Sub(f.looked) < storeFileLook {
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
	f.looked = time.Now()
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
	if !anyway && f.seen != nil && os.SameFile(info, f.seen) && info.Size() == f.seen.Size() &&
		info.ModTime().Equal(f.seen.ModTime()) {
		return nil
	}
	f.seen = info
	text, err := readStoreFile(f.name)
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

// readStoreFile reads a whole file that is not too large.
func readStoreFile(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, storeFileMax+1))
	if err == nil && len(b) > storeFileMax {
		err = fmt.Errorf("%s: larger than %d bytes", name, storeFileMax)
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
