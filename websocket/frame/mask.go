package frame

import (
	"encoding/binary"
	"math/bits"
)

// Mask masks b in place with key (RFC 6455 §5.3), and returns key rotated by len(b) bytes: the key for the next slice of the payload.
// Masking b a second time with the original key restores b.
func Mask(b []byte, key [4]byte) [4]byte {
	k := binary.LittleEndian.Uint32(key[:])
	wide := uint64(k)<<32 | uint64(k)
	b = b[maskWide(b, wide):]
	for len(b) >= 64 { // eight words per round: the compiler generates the fewest bounds checks for this form
		v := b[:64:64]
		binary.LittleEndian.PutUint64(v[0:], binary.LittleEndian.Uint64(v[0:])^wide)
		binary.LittleEndian.PutUint64(v[8:], binary.LittleEndian.Uint64(v[8:])^wide)
		binary.LittleEndian.PutUint64(v[16:], binary.LittleEndian.Uint64(v[16:])^wide)
		binary.LittleEndian.PutUint64(v[24:], binary.LittleEndian.Uint64(v[24:])^wide)
		binary.LittleEndian.PutUint64(v[32:], binary.LittleEndian.Uint64(v[32:])^wide)
		binary.LittleEndian.PutUint64(v[40:], binary.LittleEndian.Uint64(v[40:])^wide)
		binary.LittleEndian.PutUint64(v[48:], binary.LittleEndian.Uint64(v[48:])^wide)
		binary.LittleEndian.PutUint64(v[56:], binary.LittleEndian.Uint64(v[56:])^wide)
		b = b[64:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k)
		k = bits.RotateLeft32(k, -8)
	}
	var next [4]byte
	binary.LittleEndian.PutUint32(next[:], k)
	return next
}
