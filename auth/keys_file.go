package auth

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// statInterval is how long a file's keys are used without another look at it.
const statInterval = time.Second

// FileKeys are the keys in a file.
type FileKeys struct {
	path string
	now  func() time.Time

	// Failed is told, if it is not nil, when the file has changed and cannot be used; the keys that were there stay. It is
	// set before the first use, and called with a lock held: it must return soon and not use the keys.
	Failed func(error)

	mu     sync.Mutex
	looked time.Time
	info   os.FileInfo // of what was read last
	keys   keySet
}

// KeyFile reads keys from a file, in any form that [Keys] takes. When the file has changed, or another has taken its place,
// it is read again, within a second of the next token. A file that cannot be used then changes nothing. It holds nothing
// open.
func KeyFile(path string) (*FileKeys, error) {
	f := &FileKeys{path: path, now: time.Now}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// find implements [KeySource].
func (f *FileKeys) find(ctx context.Context, kid string) ([]*key, error) {
	f.mu.Lock()
	if now := f.now(); now.Sub(f.looked) >= statInterval || now.Before(f.looked) {
		f.looked = now
		if err := f.reread(); err != nil && f.Failed != nil {
			f.Failed(err)
		}
	}
	keys := f.keys
	f.mu.Unlock()
	return keys.find(ctx, kid)
}

// reread reads the file again, if it is not the one that was read.
func (f *FileKeys) reread() error {
	info, err := os.Stat(f.path) // through links: Kubernetes swaps one to change many files at once
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	if os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() {
		return nil
	}
	return f.read()
}

// read reads the file. What cannot be used is remembered too, so that it is told once.
func (f *FileKeys) read() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	f.info = info
	if !info.Mode().IsRegular() { // opening a pipe would wait for somebody to write
		return fmt.Errorf("auth: %s is no file", f.path)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKeyData+1))
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	keys, err := parseKeys(data)
	if err != nil {
		return fmt.Errorf("auth: %s: %w", f.path, err)
	}
	f.keys = keys
	return nil
}
