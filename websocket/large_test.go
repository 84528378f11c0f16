package websocket

import "testing"

// TestLargeMemory checks that the announced size of a message is not allocated in advance, and that returned memory is reused.
func TestLargeMemory(t *testing.T) {
	if b := borrowLarge(1000, 16<<20); cap(b) > 16<<10 {
		t.Errorf("%d bytes for 1000 received bytes", cap(b))
	}
	if b := borrowLarge(33<<20, 0); cap(b) < 33<<20 {
		t.Errorf("%d bytes for 33 MiB", cap(b))
	}
	returnLarge(make([]byte, 33<<20))
	returnLarge(make([]byte, 0, 20<<10))
	if b := pooledLarge(20 << 10); b != nil && cap(b) != 32<<10 {
		t.Errorf("%d bytes for 20 KiB", cap(b))
	}
	returnLarge(make([]byte, 5, 64<<10))
	if b := pooledLarge(64 << 10); b != nil && (cap(b) != 64<<10 || len(b) != 0) {
		t.Errorf("%d of %d bytes for 64 KiB", len(b), cap(b))
	}
}
