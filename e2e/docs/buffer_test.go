//go:build e2e

package docs

import (
	"bytes"
	"sync"
)

// buffer is a bytes.Buffer for two goroutines that notifies a reader when it has grown.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // nil if there is no reader
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
