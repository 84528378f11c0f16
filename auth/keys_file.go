package auth

import (
	"context"
	"crypto/sha256"
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

	// OnError is told, if it is not nil, when the file has changed and cannot be used; the keys that were there stay. It is
	// set before the first use, and called with a lock held: it must return soon and not use the keys.
	OnError func(error)

	mu     sync.Mutex
	looked time.Time
	info   os.FileInfo // of what was read last
	since  time.Time   // when it first looked like that; zero: it has settled, see fileSettles
	digest [sha256.Size]byte
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
		if err := f.reread(); err != nil && f.OnError != nil {
			f.OnError(err)
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
	if !sameFile(info, f.info) {
		return f.read()
	}
	if f.since.IsZero() {
		return nil
	}
	since, digest := f.since, f.digest
	if err := f.read(); err != nil {
		if f.digest == digest { // it has been told
			err = nil
		}
		f.settle(since)
		return err
	}
	f.settle(since)
	return nil
}

// settle ends the time in which a file is read although it looks the same; since is when that time began.
func (f *FileKeys) settle(since time.Time) {
	if f.since = since; f.now().Sub(since) >= fileSettles {
		f.since = time.Time{}
	}
}

// read reads the file. What cannot be used is remembered too, so that it is told once.
func (f *FileKeys) read() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	f.info, f.since = info, f.now()
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
	f.digest = sha256.Sum256(data)
	keys, err := parseKeys(data)
	if err != nil {
		return fmt.Errorf("auth: %s: %w", f.path, err)
	}
	f.keys = keys
	return nil
}
