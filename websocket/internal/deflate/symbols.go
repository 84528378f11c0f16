package deflate

import "encoding/binary"

// symbols decodes literals and matches.
func (f *inflater) symbols() (more bool, why stopReason, err error) {
	for {
		if more, err := f.fast(); more || err != nil {
			return more, 0, err
		}
		f.fillBits(48) // or as many bits as are available; a match requires at most 48
		e := f.tables.litAt(f.acc)
		if e.totalBits() > f.n {
			return false, needInput, nil
		}
		switch {
		case e&isLiteral != 0:
			if f.w == len(f.out) {
				return false, needOutput, nil
			}
			f.out[f.w] = byte(e.value())
			f.w++
			f.dropBits(e.totalBits())
			continue
		case e&isEnd != 0:
			f.dropBits(e.totalBits())
			f.endBlock()
			return true, 0, nil
		case e&isBad != 0:
			return false, 0, errSymbol
		}
		d := f.tables.distAt(f.acc >> e.totalBits())
		if e.totalBits()+d.totalBits() > f.n {
			return false, needInput, nil
		}
		if d&isBad != 0 {
			return false, 0, errSymbol
		}
		f.left = e.decode(f.acc)
		f.dropBits(e.totalBits())
		f.dist = d.decode(f.acc)
		f.dropBits(d.totalBits())
		if !f.reachable(f.dist) {
			return false, 0, errDistance
		}
		f.state = inMatch
		return true, 0, nil
	}
}

// litAt returns the entry for the bits at the beginning of acc.
func (t *tables) litAt(acc uint64) entry {
	e := t.lit[acc&(1<<litRoot-1)]
	if e&isLink != 0 {
		e = t.lit[uint64(e.value())+acc>>litRoot&(1<<e.totalBits()-1)]
	}
	return e
}

func (t *tables) distAt(acc uint64) entry {
	e := t.dist[acc&(1<<distRoot-1)]
	if e&isLink != 0 {
		e = t.dist[uint64(e.value())+acc>>distRoot&(1<<e.totalBits()-1)]
	}
	return e
}

// fast stops at these distances from the end of the input and of the output, because it loads eight bytes twice, and writes matches in
// words of eight bytes.
const (
	fastInput  = 16
	fastOutput = maxMatch + 8 + 3
)

// fast is like symbols, for the middle of a message, where neither input nor output can run out. It returns true if the state has
// changed, and leaves the rest to symbols.
func (f *inflater) fast() (more bool, err error) {
	t, in, out := f.tables, f.in, f.out
	acc, n, w, at := f.acc, f.n, f.w, 0
	lastIn, lastOut := len(in)-fastInput, len(out)-fastOutput
	for at <= lastIn && w <= lastOut {
		// At this point at least 56 bits are available. The bits above n equal the beginning of in[at:], so adding them again
		// changes nothing.
		acc |= binary.LittleEndian.Uint64(in[at:]) << (n & 63)
		at += int((63 - n) >> 3)
		n |= 56
		e := t.litAt(acc)
		if e&isLiteral != 0 {
			out[w] = byte(e.value())
			w++
			acc >>= e.totalBits()
			n -= e.totalBits()
			if e = t.litAt(acc); e&isLiteral != 0 {
				out[w] = byte(e.value())
				w++
				acc >>= e.totalBits()
				n -= e.totalBits()
				continue
			}
			acc |= binary.LittleEndian.Uint64(in[at:]) << (n & 63)
			at += int((63 - n) >> 3)
			n |= 56
		}
		if e&(isEnd|isBad) != 0 {
			if e&isBad != 0 {
				f.w = w
				return false, errSymbol
			}
			acc >>= e.totalBits()
			n -= e.totalBits()
			more = true
			break
		}
		length := e.decode(acc)
		acc >>= e.totalBits()
		n -= e.totalBits()
		d := t.distAt(acc)
		if d&isBad != 0 {
			f.w = w
			return false, errSymbol
		}
		dist := d.decode(acc)
		acc >>= d.totalBits()
		n -= d.totalBits()
		if dist > w-f.base || dist > f.window {
			f.w = w
			if !f.reachable(dist) {
				return false, errDistance
			}
			f.left, f.dist = length, dist
			f.match()
			w = f.w
			continue
		}
		repeat(out, w, dist, length)
		w += length
	}
	f.in, f.acc, f.n, f.w = in[at:], acc&(1<<n-1), n, w
	if more {
		f.endBlock()
	}
	return more, nil
}

// repeat writes length bytes at w that equal the bytes dist before them. It may write up to seven bytes more.
func repeat(out []byte, w, dist, length int) {
	if dist >= 8 {
		for end := w + length; w < end; w += 8 {
			binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[w-dist:]))
		}
		return
	}
	from, end := w-dist, w+length
	for w < end {
		w += copy(out[w:end], out[from:w])
	}
}
