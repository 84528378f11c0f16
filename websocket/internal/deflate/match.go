package deflate

import (
	"encoding/binary"
	"math/bits"
)

// The constants of the match finder. They were chosen by measurements with TestRatio and BenchmarkAppend.
const (
	minMatch  = 4       // matches of 3 bytes are not found, because the hash covers 4 bytes
	tableBits = 13      // a table of 32 KiB, which fits into a first-level cache
	dictStep  = 2       // only every second position of a dictionary is added, which takes half the time for 2 % more output
	skipShift = 6       // after 64 bytes without a match only every second position is tried, and later even fewer
	goodMatch = 16      // after a match of fewer bytes, a longer match at the next byte is tried: 2 to 5 % less output for 5 % more time
	farMatch  = 1 << 12 // a match of minMatch bytes at a greater distance costs more than it saves
)

// seq is a run of literals followed by a match. The last seq of a block may have no match, in which case length is 0.
type seq struct {
	literals uint16
	length   uint16
	dist     uint16 // the distance minus one
}

func load32(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

func hash4(v uint32) uint32 { return v * 0x9E3779B1 >> (32 - tableBits) }

// matchLen returns the number of equal bytes at s and t, before end.
func matchLen(b []byte, s, t, end int) int {
	n := s
	for n+8 <= end {
		if x := load64(b, n) ^ load64(b, t); x != 0 {
			return n - s + bits.TrailingZeros64(x)>>3
		}
		n += 8
		t += 8
	}
	for n < end && b[n] == b[t] {
		n++
		t++
	}
	return n - s
}

// addDictionary adds the positions of the dictionary, buf[:e.end], to the table.
func (e *encoder) addDictionary() {
	for i := 0; i+minMatch <= e.end; i += dictStep {
		e.table[hash4(load32(e.buf[:], i))] = e.base + uint32(i)
	}
}

// find divides the block, buf[start:end], into literals and matches. It fills seqs and counts every symbol.
//
// For each hash, the table contains the last position, counted from the first byte that the encoder ever received. So the table
// needs no clearing between messages: a position before this message is further away than all available data.
func (e *encoder) find() {
	e.seqs = e.seqs[:0]
	buf, end := e.buf[:], e.end
	s, anchor := e.start, e.start
	for s+minMatch <= end {
		dist, n := e.probe(s)
		if n == 0 {
			s += 1 + (s-anchor)>>skipShift
			continue
		}
		for n < goodMatch && s+1+minMatch <= end {
			d, m := e.probe(s + 1)
			if m <= n {
				break
			}
			s, dist, n = s+1, d, m
		}
		if n == minMatch && dist > farMatch {
			s += 2 // both positions are added
			continue
		}
		for t := s - dist; s > anchor && t > 0 && n < maxMatch && buf[s-1] == buf[t-1]; t-- {
			s--
			n++
		}
		e.match(anchor, s, n, dist)
		s += n
		anchor = s
		if s+minMatch <= end {
			x := load64(buf, s-2)
			e.table[hash4(uint32(x))] = e.base + uint32(s) - 2
			e.table[hash4(uint32(x>>8))] = e.base + uint32(s) - 1
		}
	}
	e.literals(anchor, end)
	e.seqs = append(e.seqs, seq{literals: uint16(end - anchor)})
}

// probe adds position s to the table. It returns the distance and length of the match that it found there, or 0 if there is none.
func (e *encoder) probe(s int) (dist, n int) {
	v := load32(e.buf[:], s)
	slot := &e.table[hash4(v)]
	d := e.base + uint32(s) - *slot
	*slot = e.base + uint32(s)
	if d > min(uint32(e.window), uint32(s)) || load32(e.buf[:], s-int(d)) != v {
		return 0, 0
	}
	t := s - int(d)
	return int(d), minMatch + matchLen(e.buf[:], s+minMatch, t+minMatch, min(e.end, s+maxMatch))
}

// match records the literals from anchor to s and the match of n bytes after them.
func (e *encoder) match(anchor, s, n, dist int) {
	e.literals(anchor, s)
	e.seqs = append(e.seqs, seq{uint16(s - anchor), uint16(n), uint16(dist - 1)})
	i := lengthIndex[uint8(n-3)]
	e.litFreq[firstLength+int(i)]++
	sym, _, extra := distSymbol(uint32(dist - 1))
	e.distFreq[sym]++
	e.extra += int(extra) + int(lengthExtra[i])
	e.matched += n
}

func (e *encoder) literals(from, to int) {
	for _, b := range e.buf[from:to] {
		e.litFreq[b]++
	}
}
