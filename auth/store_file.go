package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/handfast/handfast/internal/watch"
)

// storeFileMax is the maximum size of a file of users or of API keys, in bytes.
const storeFileMax = 16 << 20

// storeFile is a file of credentials that is read again when it has changed. It has no goroutine of its own: a caller of load
// checks the file first, at most once a second.
type storeFile[T any] struct {
	name    string
	parse   func(name, text string) (T, error)
	onError func(error) // may be nil

	mu      sync.Mutex
	content *watch.Content
	value   T
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
	return &storeFile[T]{name: name, content: watch.NewContent(name, max), parse: parse, onError: onError}
}

// load returns the content. If the file is invalid or missing, the content is unchanged, and the error is reported once.
func (f *storeFile[T]) load() T {
	f.mu.Lock()
	text, changed, err := f.content.Check()
	if changed {
		err = f.use(text, err)
	}
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
	return f.use(f.content.Read())
}

// use makes a text that was read the content, if there is no error. The caller holds f.mu.
func (f *storeFile[T]) use(text string, err error) error {
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
