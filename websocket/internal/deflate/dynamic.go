package deflate

// minSymbols is the number of symbols below which codes of a block's own are not tried: their description takes some 50
// bytes, and they save 2 to 3 bits a symbol.
const minSymbols = 96

// dynamic is a block's own pair of codes and their description (RFC 1951 §3.2.7).
type dynamic struct {
	lit  litCodes
	dist distCodes
	pre  [numPre]code

	lengths    [numLitLen + numDist]uint8 // of lit, then of dist; without the zeros at the end of either
	hlit       int
	hdist      int
	hclen      int
	preLengths [numPre]uint8
	preFreq    [numPre]uint16
	runs       []uint16 // the lengths as symbols of pre, with their extra bits from bit 5 on
	bits       int      // of the description
	builder    builder
}

// describe makes the codes for the block's frequencies and their description. It reports false when the block is so
// short that they cannot pay.
func (e *encoder) describe() bool {
	symbols := 0
	for _, f := range &e.litFreq {
		symbols += int(f)
	}
	if symbols < minSymbols {
		return false
	}
	// Some inflaters want a complete code even where RFC 1951 does not: at least two distances.
	for i, used := 0, e.distances(); used < 2; i++ {
		if e.distFreq[i] == 0 {
			e.distFreq[i] = 1
			used++
		}
	}
	d := &e.dynamic
	d.hlit, d.hdist = used(e.litFreq[:]), used(e.distFreq[:])
	d.builder.lengths(d.lengths[:d.hlit], e.litFreq[:d.hlit], maxCodeBits)
	assign(d.lit[:d.hlit], d.lengths[:d.hlit])
	dist := d.lengths[d.hlit:][:d.hdist]
	d.builder.lengths(dist, e.distFreq[:d.hdist], maxCodeBits)
	assign(d.dist[:d.hdist], dist)
	clear(d.lit[d.hlit:])
	clear(d.dist[d.hdist:])

	d.fold()
	d.builder.lengths(d.preLengths[:], d.preFreq[:], maxPreBits)
	assign(d.pre[:], d.preLengths[:])
	d.measure()
	return true
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

// used returns the length of freq without the zeros at its end.
func used(freq []uint16) int {
	n := len(freq)
	for n > 0 && freq[n-1] == 0 {
		n--
	}
	return n
}

// fold writes the code lengths as runs: 16 repeats the length before 3 to 6 times, 17 and 18 stand for 3 to 10 and 11 to
// 138 zeros.
func (d *dynamic) fold() {
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
		for v == 0 && n >= 11 {
			k := min(n, 138)
			d.run(18, k-11)
			n -= k
		}
		if v == 0 && n >= 3 {
			d.run(17, n-3)
			n = 0
		}
		if v != 0 {
			d.run(int(v), 0)
			n--
		}
		for v != 0 && n >= 3 {
			k := min(n, 6)
			d.run(16, k-3)
			n -= k
		}
		for range n {
			d.run(int(v), 0)
		}
	}
}

func (d *dynamic) run(sym, extra int) {
	d.runs = append(d.runs, uint16(sym|extra<<5))
	d.preFreq[sym]++
}

// preExtra returns the number of extra bits behind a symbol of the code length code.
func preExtra(sym int) uint {
	switch sym {
	case 16:
		return 2
	case 17:
		return 3
	case 18:
		return 7
	}
	return 0
}

// measure sets hclen and bits.
func (d *dynamic) measure() {
	d.hclen = numPre
	for d.hclen > 4 && d.preLengths[preOrder[d.hclen-1]] == 0 {
		d.hclen--
	}
	n := uint(14 + 3*d.hclen)
	for sym, f := range &d.preFreq {
		n += uint(f) * (uint(d.preLengths[sym]) + preExtra(sym))
	}
	d.bits = int(n)
}

// header appends the block's header and the description.
func (d *dynamic) header(e *encoder, dst []byte) []byte {
	e.put(typeDynamic<<1, 3)
	e.put(uint64(d.hlit-firstLength), 5)
	e.put(uint64(d.hdist-1), 5)
	e.put(uint64(d.hclen-4), 4)
	dst = e.drain(dst)
	for _, i := range preOrder[:d.hclen] {
		e.put(uint64(d.preLengths[i]), 3)
		dst = e.drain(dst)
	}
	for _, r := range d.runs {
		sym := int(r & 31)
		e.put(d.pre[sym].word(), d.pre[sym].len())
		e.put(uint64(r>>5), preExtra(sym))
		dst = e.drain(dst)
	}
	return dst
}
