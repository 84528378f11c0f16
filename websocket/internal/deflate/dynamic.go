package deflate

// minSymbols is the number of symbols below which dynamic codes are not tried: the description of the codes requires about 50 bytes, and
// dynamic codes save 2 to 3 bits per symbol.
const minSymbols = 96

// dynamic is a block's own pair of codes and their description (RFC 1951 §3.2.7).
type dynamic struct {
	lit  litCodes
	dist distCodes
	pre  [numPre]code

	lengths    [numLitLen + numDist]uint8 // lengths of lit, then of dist, both without trailing zeros
	hlit       int
	hdist      int
	hclen      int
	preLengths [numPre]uint8
	preFreq    [numPre]uint16
	runs       []uint16 // the lengths as symbols of pre, with their extra bits starting at bit 5
	builder    builder
}

// buildDynamic makes the codes for the block's frequencies and their description. It returns the size in bits of the block, without the three
// header bits and the extra bits. If the block uses fewer than two distances, the result is one bit too large for each missing distance.
func (e *encoder) buildDynamic() int {
	// Some inflaters require a complete code even where RFC 1951 does not. So at least two distances get a codeword.
	for i, used := 0, e.distances(); used < 2; i++ {
		if e.distFreq[i] == 0 {
			e.distFreq[i] = 1
			used++
		}
	}
	d := &e.dynamic
	d.hlit, d.hdist = trimmedLen(e.litFreq[:]), trimmedLen(e.distFreq[:])
	lit, dist := d.lengths[:d.hlit], d.lengths[d.hlit:][:d.hdist]
	n := d.builder.build(d.lit[:d.hlit], lit, e.litFreq[:d.hlit], maxCodeBits)
	n += d.builder.build(d.dist[:d.hdist], dist, e.distFreq[:d.hdist], maxCodeBits)

	extra := d.encodeLengths()
	n += extra + d.builder.build(d.pre[:], d.preLengths[:], d.preFreq[:], maxPreBits)
	d.hclen = numPre
	for d.hclen > 4 && d.preLengths[preOrder[d.hclen-1]] == 0 {
		d.hclen--
	}
	return n + 14 + 3*d.hclen
}

func (e *encoder) distances() int {
	n := 0
	for _, f := range &e.distFreq {
		if f != 0 {
			n++
		}
	}
	return n
}

// trimmedLen returns the length of freq without trailing zeros. At least one element is not zero.
func trimmedLen(freq []uint16) int {
	n := len(freq)
	for freq[n-1] == 0 {
		n--
	}
	return n
}

// encodeLengths encodes the code lengths as runs: 16 repeats the previous length 3 to 6 times, 17 represents 3 to 10 zeros, and 18
// represents 11 to 138 zeros. It returns the number of extra bits.
func (d *dynamic) encodeLengths() int {
	d.runs = d.runs[:0]
	clear(d.preFreq[:])
	lengths := d.lengths[:d.hlit+d.hdist]
	for i := 0; i < len(lengths); {
		v := lengths[i]
		n := 1
		for i+n < len(lengths) && lengths[i+n] == v {
			n++
		}
		i += n
		if v == 0 {
			for ; n >= 11; n -= min(n, 138) {
				d.addRun(18, min(n, 138)-11)
			}
			if n >= 3 {
				d.addRun(17, n-3)
				n = 0
			}
		} else {
			d.addRun(v, 0)
			for n--; n >= 3; n -= min(n, 6) {
				d.addRun(16, min(n, 6)-3)
			}
		}
		for range n {
			d.addRun(v, 0)
		}
	}
	return int(2*d.preFreq[16] + 3*d.preFreq[17] + 7*d.preFreq[18])
}

func (d *dynamic) addRun(sym uint8, extra int) {
	d.runs = append(d.runs, uint16(sym)|uint16(extra)<<5)
	d.preFreq[sym]++
}

// preExtra is the number of extra bits after a symbol of the code length code.
var preExtra = [32]uint8{16: 2, 17: 3, 18: 7}

// header appends the block's header and the description.
func (d *dynamic) header(e *encoder, dst []byte) []byte {
	e.putBits(typeDynamic<<1, 3)
	e.putBits(uint64(d.hlit-firstLength), 5)
	e.putBits(uint64(d.hdist-1), 5)
	e.putBits(uint64(d.hclen-4), 4)
	dst = e.flushBits(dst)
	for i, sym := range preOrder[:d.hclen] {
		if e.putBits(uint64(d.preLengths[sym]), 3); i%8 == 7 {
			dst = e.flushBits(dst)
		}
	}
	dst = e.flushBits(dst)
	for _, r := range d.runs {
		c := d.pre[r&31]
		e.putBits(c.word()|uint64(r>>5)<<c.len(), c.len()+uint(preExtra[r&31]))
		if e.n > 32 {
			dst = e.flushBits(dst)
		}
	}
	return e.flushBits(dst)
}
