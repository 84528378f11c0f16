package deflate

import "math/bits"

// An entry describes the bits at the beginning of the input:
//
//	0..4    the number of bits, including extra bits; in a link, the width of the linked table
//	8..11   the number of bits of the codeword
//	12..15  the type of the entry
//	16..31  the literal, the base to which the extra bits are added, or the start of the linked table
type entry uint32

const (
	isLiteral entry = 1 << 12
	isLink    entry = 1 << 13
	isEnd     entry = 1 << 14
	isBad     entry = 1 << 15
)

func (e entry) totalBits() uint { return uint(e & 31) }
func (e entry) codeBits() uint  { return uint(e>>8) & 15 }
func (e entry) value() uint32   { return uint32(e >> 16) }

// decode returns the entry's base plus the extra bits that follow the codeword in acc.
func (e entry) decode(acc uint64) int {
	return int(e.value()) + int(acc&(1<<e.totalBits()-1)>>e.codeBits())
}

// The number of bits of the first lookup. Longer codewords are rare and require a second lookup.
const (
	litRoot  = 10
	distRoot = 8
)

// tables contains the lookup tables for decoding one block. A linked table of 1<<k entries is only used for k+1 or more codewords with the
// same first bits, k being at most maxCodeBits-root. This limits the total size of the linked tables: 288 codewords for literals and
// lengths have at most 288*32/6 entries, and 30 codewords for distances at most 30*128/8.
type tables struct {
	lit  [1<<litRoot + 288*32/6]entry
	dist [1<<distRoot + 30*128/8]entry
	pre  [1 << maxPreBits]entry
}

// fixedTables decode blocks with the fixed codes (RFC 1951 §3.2.6).
var fixedTables = func() *tables {
	t := new(tables)
	lengths := fixedLengths()
	var fiveBits [32]uint8
	for i := range fiveBits {
		fiveBits[i] = 5
	}
	if !fill(t.lit[:], litRoot, lengths[:], &litMeaning) || !fill(t.dist[:], distRoot, fiveBits[:], &distMeaning) {
		panic("deflate: the fixed codes are not prefix codes")
	}
	return t
}()

// The meanings of the symbols of the three alphabets, as entries without a codeword.
var (
	litMeaning = func() (t [288]entry) {
		for i := range t {
			switch {
			case i < endOfBlock:
				t[i] = isLiteral | entry(i)<<16
			case i == endOfBlock:
				t[i] = isEnd
			case i < numLitLen:
				t[i] = entry(lengthBase[i-firstLength])<<16 | entry(lengthExtra[i-firstLength])
			default: // RFC 1951 §3.2.6: 286 and 287 never occur
				t[i] = isBad
			}
		}
		return t
	}()
	distMeaning = func() (t [288]entry) {
		for i := range 32 {
			t[i] = isBad // RFC 1951 §3.2.6: 30 and 31 never occur
			if i < numDist {
				base, extra := distBase(i)
				t[i] = entry(base)<<16 | entry(extra)
			}
		}
		return t
	}()
	preMeaning = func() (t [288]entry) {
		for i := range numPre {
			t[i] = entry(i)<<16 | entry(preExtra[i])
		}
		return t
	}()
)

// fill makes the table for a prefix code with the given codeword lengths. It returns false if the lengths do not form a prefix code, or
// leave bit sequences without a meaning. RFC 1951 §3.2.7 allows an incomplete code only if it has a single codeword of one bit, or no
// codeword.
func fill(table []entry, root int, lengths []uint8, meaning *[288]entry) bool {
	var count [maxCodeBits + 1]int
	for _, n := range lengths {
		count[n]++
	}
	words := len(lengths) - count[0]
	var next [maxCodeBits + 1]int // index of the next symbol of each length
	space := 1                    // number of unused codewords of this length
	for n := 1; n <= maxCodeBits; n++ {
		if space = 2*space - count[n]; space < 0 {
			return false
		}
		if n < maxCodeBits {
			next[n+1] = next[n] + count[n]
		}
	}
	if space > 0 && (words > 1 || words != count[1]) {
		return false
	}
	var sorted [288]uint16
	for sym, n := range lengths {
		if n != 0 {
			sorted[next[n]] = uint16(sym)
			next[n]++
		}
	}
	fillSorted(table, root, sorted[:words], &count, meaning)
	return true
}

// fillSorted enters the symbols, sorted by the length of their codewords and then by value, which is the order of the codewords
// (RFC 1951 §3.2.2). count[n] codewords have n bits.
func fillSorted(table []entry, root int, sorted []uint16, count *[maxCodeBits + 1]int, meaning *[288]entry) {
	// Doubling a table for codewords of up to n bits makes a table for codewords of up to n+1 bits, to which the new codewords are
	// then added.
	table[0], table[1] = isBad|1<<8|1, isBad|1<<8|1
	word := 0
	for n := 1; n <= root; n++ {
		word <<= 1
		for _, sym := range sorted[:count[n]] {
			table[bits.Reverse16(uint16(word))>>(16-n)] = meaning[sym] + entry(n) | entry(n)<<8
			word++
		}
		sorted = sorted[count[n]:]
		if n < root {
			copy(table[1<<n:2<<n], table[:1<<n])
		}
	}
	free := 1 << root
	link, width, size := -1, 0, 0 // the current linked table: the entry that refers to it, and its size
	for n := root + 1; len(sorted) > 0; n++ {
		word <<= 1
		for left := count[n]; left > 0; left-- {
			rev := int(bits.Reverse16(uint16(word)) >> (16 - n))
			if first := rev & (1<<root - 1); first != link {
				link, free, width = first, free+size, n-root
				for words := left; words < 1<<width; {
					width++
					words = 2*words + count[root+width]
				}
				size = 1 << width
				table[link] = isLink | entry(width) | entry(free)<<16
			}
			e := meaning[sorted[0]] + entry(n) | entry(n)<<8
			for i := rev >> root; i < 1<<width; i += 1 << (n - root) {
				table[free+i] = e
			}
			sorted = sorted[1:]
			word++
		}
	}
}
