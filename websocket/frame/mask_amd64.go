//go:build !purego

package frame

// maskWide masks the beginning of b with key, which contains the 4-byte masking key twice, and returns the number of bytes masked. It
// returns 0 for short payloads and on processors without AVX2: the loops of Mask then do the work.
func maskWide(b []byte, key uint64) int {
	if len(b) < 256 || !hasAVX2 {
		return 0
	}
	return maskAVX2(b, key)
}

var hasAVX2 = detectAVX2()

// detectAVX2 reports whether the processor has AVX2 and the system saves the registers for it.
func detectAVX2() bool

// maskAVX2 masks all complete 128-byte blocks of b, which must contain at least one, and returns their total length. Like copy, it is not
// preempted.
//
//go:noescape
func maskAVX2(b []byte, key uint64) int
