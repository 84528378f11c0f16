package deflate

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"testing"
)

// TestRFC1951_3_2_4_StoredAfterACode checks that the bytes of a stored block begin where the previous block ends, however many of
// them were read together with that block.
func TestRFC1951_3_2_4_StoredAfterACode(t *testing.T) {
	for literals := range 40 {
		for _, size := range []int{1, 2, 3, 4, 5, 8, 16, 300} {
			var b []byte
			var acc uint64
			var n int
			put := func(v, k int) {
				acc |= uint64(v) << n
				for n += k; n >= 8; n -= 8 {
					b, acc = append(b, byte(acc)), acc>>8
				}
			}
			put(1<<1, 3) // not the last block; fixed codes (§3.2.6)
			for range literals {
				put(int(bits.Reverse8(0x30+'a')), 8)
			}
			put(0, 7) // the end of the block
			put(0, 3) // stored
			put(0, (8-n)%8)
			text := strings.Repeat("0123456789", 30)[:size]
			b = binary.LittleEndian.AppendUint16(b, uint16(size))
			b = binary.LittleEndian.AppendUint16(b, ^uint16(size))
			b = append(append(b, text...), 0) // the beginning of an empty stored block (RFC 7692 §7.2.1)
			want := strings.Repeat("a", literals) + text
			var d Decompressor
			if got, err := d.Append(nil, b, -1); err != nil || !bytes.Equal(got, []byte(want)) {
				t.Fatalf("%d literals and %d bytes: %q, %v", literals, size, got, err)
			}
		}
	}
}
