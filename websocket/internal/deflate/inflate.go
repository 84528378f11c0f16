package deflate

// state determines which part of the format the inflater reads next.
type state uint8

const (
	atBlock   state = iota // a block's header
	atStored               // the lengths of a stored block
	inStored               // bytes of a stored block
	atDynamic              // the counts at the beginning of a dynamic block
	inPre                  // lengths of the code length code
	inLengths              // code lengths
	inSymbols              // literals and matches
	inMatch                // the remaining bytes of a match
)

// stopReason is the reason why the inflater has stopped.
type stopReason uint8

const (
	needInput stopReason = iota
	needOutput
)

// inflater is DEFLATE without I/O: it inflates as much of the input as there is room for in the output, and can stop after any bit
// of the input and any byte of the output. It does not allocate.
type inflater struct {
	in  []byte // the input that has not been moved to acc yet
	acc uint64 // the next n bits of input, lowest first
	n   uint   // number of bits in acc; the bits above are zero

	out  []byte // out[base:w] is the output of this message; it may be extended to len(out)
	base int
	w    int

	older, newer []byte // the data before out[base]
	window       int    // how far back a match may reach

	state state
	final bool // BFINAL was set in the header of the latest block; cleared by the next header
	left  int  // remaining bytes of a stored block or match, or remaining lengths
	dist  int  // distance of the match

	hlit, hclen int // the counts at the beginning of a dynamic block
	at          int // index of the next length
	preLengths  [numPre]uint8
	lengths     [numLitLen + numDist]uint8 // code lengths of the literal/length code, then of the distance code
	tables      *tables                    // fixedTables or &dynamic
	dynamic     tables
}

// begin starts a message whose dictionary is older followed by newer.
func (f *inflater) begin(window int, older, newer []byte) {
	f.in, f.acc, f.n = nil, 0, 0
	f.older, f.newer, f.window = older, newer, window
	f.state, f.final = atBlock, false
}

// fillBits moves input to acc until that contains at least k bits, at most 56. If there are fewer, it moves all of them and returns
// false.
func (f *inflater) fillBits(k uint) bool {
	for f.n < k {
		if len(f.in) == 0 {
			return false
		}
		f.acc |= uint64(f.in[0]) << f.n
		f.in = f.in[1:]
		f.n += 8
	}
	return true
}

func (f *inflater) dropBits(k uint) {
	f.acc >>= k & 63
	f.n -= k
}

// takeBits returns the next k bits, which fillBits has made available.
func (f *inflater) takeBits(k uint) int {
	v := f.acc & (1<<k - 1)
	f.dropBits(k)
	return int(v)
}

// run inflates as much as possible.
func (f *inflater) run() (stopReason, error) {
	for {
		var why stopReason
		var more bool
		var err error
		switch f.state {
		case atBlock:
			more, err = f.block()
		case atStored:
			more, err = f.storedLength()
		case inStored:
			more, why = f.storedBytes()
		case atDynamic:
			more, err = f.counts()
		case inPre:
			more, err = f.preCode()
		case inLengths:
			more, err = f.codeLengths()
		case inSymbols:
			more, why, err = f.symbols()
		case inMatch:
			more, why = f.match(), needOutput
		}
		if !more || err != nil {
			return why, err
		}
	}
}

// block reads a block's header (RFC 1951 §3.2.3).
func (f *inflater) block() (bool, error) {
	if !f.fillBits(3) {
		return false, nil
	}
	f.final = f.takeBits(1) == 1
	switch f.takeBits(2) {
	case typeStored:
		f.dropBits(f.n & 7) // RFC 1951 §3.2.4: the rest of the byte is ignored
		f.state = atStored
	case typeFixed:
		f.tables = fixedTables
		f.state = inSymbols
	case typeDynamic:
		f.state = atDynamic
	default:
		return false, errBlockType
	}
	return true, nil
}

// endBlock handles the end of a block. RFC 7692 §7.2.3.4: after a block with BFINAL set the message continues at the next byte.
func (f *inflater) endBlock() {
	if f.final {
		f.dropBits(f.n & 7)
	}
	f.state = atBlock
}

// ended reports whether the message may end here without tail: it is empty, or no bits follow a block with BFINAL set.
func (f *inflater) ended() bool { return f.state == atBlock && f.final && f.n == 0 && len(f.in) == 0 }

// complete reports whether the message may end here, after tail was appended.
func (f *inflater) complete() bool { return f.state == atBlock && f.n == 0 && len(f.in) == 0 }

func (f *inflater) storedLength() (bool, error) {
	if !f.fillBits(32) {
		return false, nil
	}
	n := f.takeBits(16)
	if f.takeBits(16) != n^0xFFFF {
		return false, errStored
	}
	f.left = n
	f.state = inStored
	return true, nil
}

func (f *inflater) storedBytes() (bool, stopReason) {
	for f.left > 0 {
		if f.n == 0 && len(f.in) == 0 {
			return false, needInput
		}
		room := f.out[f.w:min(len(f.out), f.w+f.left)]
		if len(room) == 0 {
			return false, needOutput
		}
		k := 1
		if f.n > 0 { // whole bytes, because the stored data begins at a byte boundary
			room[0] = byte(f.takeBits(8))
		} else {
			k = copy(room, f.in)
			f.in = f.in[k:]
		}
		f.w += k
		f.left -= k
	}
	f.endBlock()
	return true, 0
}

// match copies the remaining bytes of a match. It returns false if there is no more room.
func (f *inflater) match() bool {
	for f.left > 0 {
		room := f.out[f.w:min(len(f.out), f.w+f.left)]
		if len(room) == 0 {
			return false
		}
		var from []byte
		switch before := f.dist - (f.w - f.base); {
		case before <= 0:
			from = f.out[f.w-f.dist : f.w] // may be shorter than the match, in which case it is repeated
		case before <= len(f.newer):
			from = f.newer[len(f.newer)-before:]
		default:
			before -= len(f.newer)
			from = f.older[len(f.older)-before:]
		}
		k := copy(room, from)
		f.w += k
		f.left -= k
	}
	f.state = inSymbols
	return true
}

// reachable reports whether a match may refer dist bytes back (RFC 7692 §7.1.2).
func (f *inflater) reachable(dist int) bool {
	return dist <= f.window && dist <= f.w-f.base+len(f.newer)+len(f.older)
}
