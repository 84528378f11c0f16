package deflate

import "math/bits"

// The alphabets of RFC 1951 §3.2.5 and their sizes.
const (
	maxCodeBits = 15 // longest code for a literal, length or distance
	maxPreBits  = 7  // longest code for a code length
	numLitLen   = 286
	numDist     = 30
	numPre      = 19
	endOfBlock  = 256
	firstLength = 257

	maxMatch = 258
)

// The values of the two header bits BTYPE (RFC 1951 §3.2.3).
const (
	typeStored = iota
	typeFixed
	typeDynamic
)

// tail consists of the bytes that RFC 7692 §7.2.1 removes from the end of a message and §7.2.2 appends again.
var tail = [4]byte{0x00, 0x00, 0xFF, 0xFF}

// preOrder is the order of the lengths of the code length codes in a header (RFC 1951 §3.2.7).
var preOrder = [numPre]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// For symbol firstLength+i, lengthBase contains the smallest match length, and lengthExtra the number of extra bits, whose value is added
// to the smallest length.
var (
	lengthBase = [29]uint16{
		3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
	}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
)

// lengthIndex maps a match length minus 3 to the index i of its lengthBase.
var lengthIndex = func() (t [256]uint8) {
	for i, base := range lengthBase {
		for n := int(base); n <= maxMatch; n++ {
			t[n-3] = uint8(i)
		}
	}
	return t
}()

// distSymbol returns the symbol of distance d+1, the extra bits, and their number. Each pair of symbols covers one power of two.
func distSymbol(d uint32) (sym, extra, n uint32) {
	if d < 4 {
		return d, 0, 0
	}
	n = uint32(bits.Len32(d)) - 2
	return 2*n + d>>n, d & (1<<n - 1), n
}

// distBase returns the smallest distance that symbol sym represents, and the number of extra bits.
func distBase(sym int) (base uint16, extra uint8) {
	if sym < 4 {
		return uint16(sym + 1), 0
	}
	n := uint(sym/2 - 1)
	return uint16((2+sym&1)<<n + 1), uint8(n)
}

// fixedLengths returns the code lengths of the fixed literal/length code, including reserved symbols (RFC 1951 §3.2.6).
func fixedLengths() (t [288]uint8) {
	for i := range t {
		switch {
		case i < 144:
			t[i] = 8
		case i < 256:
			t[i] = 9
		case i < 280:
			t[i] = 7
		default:
			t[i] = 8
		}
	}
	return t
}
