//go:build e2e

package docs

import (
	"bytes"
	"sync"
)

// buffer is a bytes.Buffer that is safe for concurrent use and notifies a reader of each write.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // receives a value for writes; nil if there is no reader
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
