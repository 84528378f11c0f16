package deflate

// counts reads the numbers of code lengths (RFC 1951 §3.2.7).
func (f *inflater) counts() (bool, error) {
	if !f.fillBits(14) {
		return false, nil
	}
	f.hlit = f.takeBits(5) + firstLength
	hdist := f.takeBits(5) + 1
	if f.hlit > numLitLen || hdist > numDist {
		return false, errCodeCount
	}
	f.left = f.hlit + hdist
	f.hclen = f.takeBits(4) + 4
	clear(f.preLengths[:])
	f.at = 0
	f.state = inPre
	return true, nil
}

// preCode reads the lengths of the code length code.
func (f *inflater) preCode() (bool, error) {
	for ; f.at < f.hclen; f.at++ {
		if !f.fillBits(3) {
			return false, nil
		}
		f.preLengths[preOrder[f.at]] = uint8(f.takeBits(3))
	}
	if !fill(f.dynamic.pre[:], maxPreBits, f.preLengths[:], &preMeaning) {
		return false, errCodeLengths
	}
	f.at = 0
	f.state = inLengths
	return true, nil
}

// codeLengths reads the lengths of both codes and makes the tables. One run may cover the end of one code and the beginning of the
// other.
func (f *inflater) codeLengths() (bool, error) {
	for f.at < f.left {
		f.fillBits(2 * maxPreBits) // or as many bits as are available
		e := f.dynamic.pre[f.acc&(1<<maxPreBits-1)]
		if e.totalBits() > f.n {
			return false, nil
		}
		if e&isBad != 0 {
			return false, errCodeLengths
		}
		extra := int(f.acc & (1<<e.totalBits() - 1) >> e.codeBits())
		f.dropBits(e.totalBits())
		if !f.lengthRun(uint8(e.value()), extra) {
			return false, errRepeat
		}
	}
	if f.lengths[endOfBlock] == 0 {
		return false, errNoEnd
	}
	f.tables = &f.dynamic
	if !fill(f.dynamic.lit[:], litRoot, f.lengths[:f.hlit], &litMeaning) ||
		!fill(f.dynamic.dist[:], distRoot, f.lengths[f.hlit:f.left], &distMeaning) {
		return false, errCodeLengths
	}
	f.state = inSymbols
	return true, nil
}

// lengthRun handles one symbol of the code length code. It returns false if the symbol repeats a missing length, or extends beyond
// the last length.
func (f *inflater) lengthRun(sym uint8, extra int) bool {
	repeat := 1
	switch sym {
	case 16:
		if f.at == 0 {
			return false
		}
		sym, repeat = f.lengths[f.at-1], 3+extra
	case 17:
		sym, repeat = 0, 3+extra
	case 18:
		sym, repeat = 0, 11+extra
	}
	if repeat > f.left-f.at {
		return false
	}
	for range repeat {
		f.lengths[f.at] = sym
		f.at++
	}
	return true
}
