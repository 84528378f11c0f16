package websocket

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/handfast/handfast/websocket/protocol"
)

// Buffers for large messages have sizes that are powers of two. The buffer that was returned last is lent first, since it is most
// likely in the CPU cache.
const (
	largeBits   = 14
	largestBits = 25
)

// largePools are pools of arrays by size. Each array is stored as a pointer to its first byte, because storing a slice in a pool would
// allocate.
var largePools [largestBits - largeBits + 1]sync.Pool

// borrowLarge returns memory for a message, given the number of bytes that have arrived and the number still announced. An announced
// length does not allocate memory: the memory grows with the received bytes.
func borrowLarge(received int, left int64) []byte {
	if b := pooledLarge(protocol.Room(received, left, protocol.PooledMemory)); b != nil {
		return b
	}
	n := protocol.Room(received, left, protocol.NewMemory)
	if class := largeClass(n); class < len(largePools) {
		n = 1 << (class + largeBits)
	}
	return make([]byte, 0, n)
}

func largeClass(n int) int { return max(0, bits.Len(uint(max(n, 1)-1))-largeBits) }

// pooledLarge returns pooled memory for n bytes, or nil if there is none.
func pooledLarge(n int) []byte {
	class := largeClass(n)
	if class >= len(largePools) {
		return nil
	}
	if p, ok := largePools[class].Get().(*byte); ok {
		return unsafe.Slice(p, 1<<(class+largeBits))[:0]
	}
	return nil
}

// returnLarge returns b, which must begin at the start of its array, to its pool. An array of any other size than those of the
// pools is left to the garbage collector.
func returnLarge(b []byte) {
	class := largeClass(cap(b))
	if class < len(largePools) && cap(b) == 1<<(class+largeBits) {
		largePools[class].Put(unsafe.SliceData(b))
	}
}

// growLarge returns the content of dst, which is the beginning of a message, in a larger array, and recycles dst. left is the number of
// bytes that are still expected.
func growLarge(dst []byte, left int64) []byte {
	g := borrowLarge(len(dst), left)
	g = append(g, dst...)
	returnLarge(dst)
	return g
}
