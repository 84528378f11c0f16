package websocket

import (
	"strings"
	"testing"
)

// A borrowed buffer has the requested capacity, rounded up to one of the pool's sizes if possible.
func TestBorrowedSizes(t *testing.T) {
	const largest = 1 << bufferBitsMax
	for n, want := range map[int]struct {
		size  int
		class int8
	}{
		0: {256, 0}, 1: {256, 0}, 256: {256, 0}, 257: {512, 1}, 512: {512, 1}, 513: {1024, 2}, 1 << 20: {1 << 20, 12},
		largest: {largest, bufferBitsMax - bufferBitsMin}, largest + 1: {largest + 1, -1},
	} {
		f := borrow(n)
		if len(f.b) != 0 || cap(f.b) != want.size || f.class != want.class || f.r != 0 || f.partialFrame != 0 {
			t.Errorf("borrow(%d): length %d, capacity %d, class %d; want capacity %d, class %d", n, len(f.b), cap(f.b), f.class, want.size, want.class)
		}
		f.free()
	}
	(*buffer)(nil).free()
	if fromPool(largest+1) != nil {
		t.Error("there is a pool for buffers above the largest size")
	}
}

// A buffer keeps its content when it grows. If consumed bytes occupy more than half of its capacity, it grows in place.
func TestBufferGrows(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 16)
	for _, tt := range []struct {
		gone, more int
		same       bool // the buffer is not reallocated
		moved      bool // the content is moved to the beginning of the buffer
	}{
		{0, 0, true, false}, {0, 1, false, false}, {129, 0, true, false}, {129, 1, true, true}, {129, 129, true, true},
		{129, 130, false, false}, {128, 1, false, false},
	} {
		f := borrow(len(text))
		f.b = append(f.b, text...)
		f.partialFrame = 3
		f.advance(tt.gone)
		if f.size() != len(text)-tt.gone {
			t.Fatalf("after %d bytes were consumed, %d are left", tt.gone, f.size())
		}
		g := f.grown(tt.more)
		if same, moved := g == f, g == f && tt.gone > 0 && g.r == 0; same != tt.same || moved != tt.moved {
			t.Errorf("%d consumed, room for %d: the same buffer %v, moved %v", tt.gone, tt.more, same, moved)
		}
		if string(g.rest()) != text[tt.gone:] || cap(g.b)-len(g.b) < tt.more || g.partialFrame != 3 {
			t.Errorf("%d consumed, room for %d: got %q, room for %d, cut %d", tt.gone, tt.more, g.rest(), cap(g.b)-len(g.b), g.partialFrame)
		}
	}
}

// An empty buffer is refilled from its beginning, and a buffer that append has reallocated is not returned to the pool.
func TestBufferEndsAndMoves(t *testing.T) {
	f := borrow(4)
	f.b = append(f.b, "text"...)
	if f.advance(3); string(f.rest()) != "t" || f.r != 3 {
		t.Errorf("%q is left, want the last byte of text", f.rest())
	}
	if f.advance(1); f.size() != 0 || f.r != 0 || len(f.b) != 0 {
		t.Errorf("at the end %d bytes are left, at offset %d", f.size(), f.r)
	}
	if f.set(append(f.b, "more"...)); f.class != 0 || string(f.rest()) != "more" {
		t.Errorf("class %d, %q", f.class, f.rest())
	}
	if f.set(append(f.b, make([]byte, 300)...)); f.class != -1 || f.size() != 304 {
		t.Errorf("class %d, %d bytes", f.class, f.size())
	}
	if (*buffer)(nil).size() != 0 {
		t.Error("a nil buffer is not empty")
	}
}
