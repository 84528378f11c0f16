package websocket

import (
	"math/bits"
	"sync"
)

// buffer is a piece of pooled memory: it contains the bytes b, of which the first r have been sent. A buffer must not be used after
// it was returned to the pool.
type buffer struct {
	b            []byte
	r            int
	partialFrame int // in a send queue: the number of bytes at the beginning that belong to a frame that the kernel has partly accepted
	class        int8
}

// The sizes of pooled buffers are powers of two. Larger buffers are left to the garbage collector.
const (
	bufferBitsMin = 8
	bufferBitsMax = 25
)

var pools [bufferBitsMax - bufferBitsMin + 1]sync.Pool

// borrow returns an empty buffer with room for at least n bytes.
func borrow(n int) *buffer {
	if f := fromPool(n); f != nil {
		return f
	}
	class := classOf(n)
	if class >= len(pools) {
		return &buffer{b: make([]byte, 0, n), class: -1}
	}
	return &buffer{b: make([]byte, 0, 1<<(class+bufferBitsMin)), class: int8(class)}
}

func classOf(n int) int { return max(0, bits.Len(uint(max(n, 1)-1))-bufferBitsMin) }

// fromPool does the same as borrow, but returns nil if the pool is empty.
func fromPool(n int) *buffer {
	class := classOf(n)
	if class >= len(pools) {
		return nil
	}
	f, ok := pools[class].Get().(*buffer)
	if !ok {
		return nil
	}
	f.b, f.r, f.partialFrame = f.b[:0], 0, 0
	return f
}

// free returns f to the pool; f may be nil.
func (f *buffer) free() {
	if f != nil && f.class >= 0 {
		pools[f.class].Put(f)
	}
}

// rest returns the remaining bytes.
func (f *buffer) rest() []byte { return f.b[f.r:] }

// size returns the number of remaining bytes, or 0 for a nil buffer.
func (f *buffer) size() int {
	if f == nil {
		return 0
	}
	return len(f.b) - f.r
}

// advance removes the first n bytes.
func (f *buffer) advance(n int) {
	if f.r += n; f.r == len(f.b) {
		f.b, f.r = f.b[:0], 0
	}
}

// grown returns a buffer that contains f's bytes and has room for n more: f itself, or another one, in which case f is returned to
// the pool.
func (f *buffer) grown(n int) *buffer {
	if cap(f.b)-len(f.b) >= n {
		return f
	}
	if f.size()+n <= cap(f.b) && f.r > cap(f.b)/2 {
		f.b, f.r = f.b[:copy(f.b, f.rest())], 0
		return f
	}
	g := borrow(f.size() + n)
	g.b = append(g.b, f.rest()...)
	g.partialFrame = f.partialFrame
	f.free()
	return g
}

// set makes b the content of f. b is the result of appending to f's bytes.
func (f *buffer) set(b []byte) {
	if cap(b) != cap(f.b) {
		f.class = -1 // the pool holds only buffers of its own sizes
	}
	f.b = b
}
