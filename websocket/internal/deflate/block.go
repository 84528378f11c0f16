package deflate

import (
	"encoding/binary"
	"slices"
)

// The codes for the two alphabets of a block.
type (
	litCodes  [numLitLen]code
	distCodes [numDist]code
)

var (
	fixedLit  = fixedLitCodes()
	fixedDist = fixedDistCodes()
)

func fixedLitCodes() *litCodes {
	lengths := fixedLengths()
	var all [len(lengths)]code
	assignCodes(all[:], lengths[:])
	return (*litCodes)(all[:numLitLen])
}

func fixedDistCodes() *distCodes {
	lengths := [32]uint8{}
	for i := range lengths {
		lengths[i] = 5
	}
	var all [len(lengths)]code
	assignCodes(all[:], lengths[:])
	return (*distCodes)(all[:numDist])
}

// symbols returns the number of symbols in the block.
func (e *encoder) symbols() int { return e.end - e.start - e.matched + len(e.seqs) }

// fixedBits returns the size in bits of the block with the fixed codes, without its header. Most codewords have 8 bits; RFC 1951
// §3.2.6 lists the exceptions.
func (e *encoder) fixedBits() int {
	n := 8*e.symbols() + 5*(len(e.seqs)-1) + e.extra
	for _, f := range e.litFreq[144:256] {
		n += int(f)
	}
	for _, f := range e.litFreq[256:280] {
		n -= int(f)
	}
	return n
}

// block encodes the pending input in the form that requires the fewest bits, and makes it part of the history.
func (e *encoder) block(dst []byte) []byte {
	clear(e.litFreq[:])
	clear(e.distFreq[:])
	e.extra, e.matched = 0, 0
	e.find()
	e.litFreq[endOfBlock] = 1

	stored := 7 + 32 + 8*(e.end-e.start) // at most 7 bits of padding, the two lengths, and the bytes
	fixed := e.fixedBits()
	best := min(stored, fixed)
	dst = slices.Grow(dst, best/8+2*8)
	switch {
	case e.symbols() >= minSymbols && e.buildDynamic()+e.extra < best:
		dst = e.dynamic.header(e, dst)
		dst = e.encode(dst, &e.dynamic.lit, &e.dynamic.dist)
	case stored < fixed:
		dst = e.stored(dst)
	default:
		e.putBits(typeFixed<<1, 3)
		dst = e.encode(dst, fixedLit, fixedDist)
	}
	e.start = e.end
	return dst
}

// putBits adds n bits of v, at most 48, to the pending bits. The caller must call flushBits between calls, so that fewer than 8 bits are
// pending.
func (e *encoder) putBits(v uint64, n uint) {
	e.acc |= v << (e.n & 63)
	e.n += n
}

// flushBits appends the complete pending bytes to dst.
func (e *encoder) flushBits(dst []byte) []byte {
	end := len(dst) + int(e.n>>3)
	dst = binary.LittleEndian.AppendUint64(dst, e.acc)[:end]
	e.acc >>= e.n & 56
	e.n &= 7
	return dst
}

// align appends the header of an empty stored block and the padding to the next byte, but not tail.
func (e *encoder) align(dst []byte) []byte {
	e.putBits(typeStored<<1, 3)
	e.n = (e.n + 7) &^ 7
	return e.flushBits(dst)
}

// stored appends the block uncompressed (RFC 1951 §3.2.4).
func (e *encoder) stored(dst []byte) []byte {
	dst = e.align(dst)
	p := e.buf[e.start:e.end]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(p)))
	dst = binary.LittleEndian.AppendUint16(dst, ^uint16(len(p)))
	return append(dst, p...)
}

// encode appends the block's literals and matches, and the end-of-block symbol. dst has enough capacity.
func (e *encoder) encode(dst []byte, lit *litCodes, dist *distCodes) []byte {
	out, at := dst[:cap(dst)], len(dst)
	acc, n := e.acc, e.n
	p := e.start
	for _, s := range e.seqs {
		run := e.buf[p : p+int(s.literals)]
		p += int(s.literals) + int(s.length)
		for len(run) >= 3 {
			a, b, c := lit[run[0]], lit[run[1]], lit[run[2]]
			acc |= a.word() << (n & 63)
			n += a.len()
			acc |= b.word() << (n & 63)
			n += b.len()
			acc |= c.word() << (n & 63)
			n += c.len()
			binary.LittleEndian.PutUint64(out[at:], acc)
			at += int(n >> 3)
			acc >>= n & 56
			n &= 7
			run = run[3:]
		}
		for _, b := range run {
			acc |= lit[b].word() << (n & 63)
			n += lit[b].len()
		}
		if s.length == 0 { // the end of the block
			break
		}
		i := lengthIndex[uint8(s.length-3)]
		c := lit[firstLength+int(i)]
		acc |= c.word() << (n & 63)
		n += c.len()
		acc |= uint64(s.length-lengthBase[i]) << (n & 63)
		n += uint(lengthExtra[i]) // at most 7 + 2*15 + 15 + 5 bits
		binary.LittleEndian.PutUint64(out[at:], acc)
		at += int(n >> 3)
		acc >>= n & 56
		n &= 7

		sym, extra, width := distSymbol(uint32(s.dist))
		d := dist[sym]
		acc |= d.word() << (n & 63)
		n += d.len()
		acc |= uint64(extra) << (n & 63)
		n += uint(width)
		binary.LittleEndian.PutUint64(out[at:], acc)
		at += int(n >> 3)
		acc >>= n & 56
		n &= 7
	}
	e.acc, e.n = acc, n
	e.putBits(lit[endOfBlock].word(), lit[endOfBlock].len())
	return e.flushBits(out[:at])
}
