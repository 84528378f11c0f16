package websocket

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/handfast/handfast/websocket/protocol"
)

// The memory of large messages comes in powers of two, as hot as can be: what was given back last is lent first.
const (
	largeBits   = 14
	largestBits = 25
)

// larges holds arrays by their size, each as a pointer to its first byte: a slice in a pool would be an allocation.
var larges [largestBits - largeBits + 1]sync.Pool

// largeFor returns memory for a message of which so much is here, and so much more is announced. What is announced is not
// trusted with new memory: what it gets grows with what arrives.
func largeFor(here int, left int64) []byte {
	if b := recycled(protocol.Room(here, left, protocol.PooledMemory)); b != nil {
		return b
	}
	n := protocol.Room(here, left, protocol.NewMemory)
	if class := largeClass(n); class < len(larges) {
		n = 1 << (class + largeBits)
	}
	return make([]byte, 0, n)
}

func largeClass(n int) int { return max(0, bits.Len(uint(max(n, 1)-1))-largeBits) }

// recycled returns memory for n bytes that is in a pool, nil when there is none.
func recycled(n int) []byte {
	class := largeClass(n)
	if class >= len(larges) {
		return nil
	}
	if p, ok := larges[class].Get().(*byte); ok {
		return unsafe.Slice(p, 1<<(class+largeBits))[:0]
	}
	return nil
}

// returnLarge gives b back, of which b[:0] is all of an array. One of another size is left to the collector.
func returnLarge(b []byte) {
	class := largeClass(cap(b))
	if class < len(larges) && cap(b) == 1<<(class+largeBits) {
		larges[class].Put(unsafe.SliceData(b))
	}
}

// grow returns dst with room for more of a message of which left bytes are to come.
func grow(dst []byte, left int64) []byte {
	g := largeFor(len(dst), left)
	g = append(g, dst...)
	returnLarge(dst)
	return g
}
