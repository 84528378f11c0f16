//go:build !purego

package frame

import "testing"

// Without AVX2, the loops in Go produce the same results.
func TestRFC6455_5_3_MaskWithoutAVX2(t *testing.T) {
	old := hasAVX2
	t.Cleanup(func() { hasAVX2 = old })
	hasAVX2 = false
	TestRFC6455_5_3_Mask(t)
	TestRFC6455_5_3_MaskInPieces(t)
}
