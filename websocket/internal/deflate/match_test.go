package deflate

import "testing"

// A longer match that begins one byte later is preferred only if the first match is shorter than goodMatch.
func TestFind_GoodMatch(t *testing.T) {
	const text = "0123456789abcdefGHIJKLMNOP"
	for n, taken := range map[int]seq{
		goodMatch - 1: {literals: 1, length: uint16(len(text) - 1)},
		goodMatch:     {length: goodMatch},
	} {
		e := newEncoder()
		history := text[:n] + "~~" + text[1:] + "~~"
		e.Reset(maxWindow, nil, []byte(history))
		for i := range len(history) - minMatch + 1 { // every position, because addDictionary only adds every second one
			e.table[hash4(load32(e.buf[:], i))] = e.base + uint32(i)
		}
		e.end += copy(e.buf[e.end:], text)
		e.find()
		if got := e.seqs[0]; got.literals != taken.literals || got.length != taken.length {
			t.Errorf("for a match of %d bytes and a longer one after it: %+v, want %+v", n, got, taken)
		}
	}
}

// The last position at which a match can begin is added to the table, for later messages.
func TestFind_LastPosition(t *testing.T) {
	e := newEncoder()
	e.Reset(maxWindow, nil, []byte("abcde"))
	e.end += copy(e.buf[e.end:], "abcde")
	e.find()
	last := e.end - minMatch
	if got, want := e.table[hash4(load32(e.buf[:], last))], e.base+uint32(last); got != want || len(e.seqs) != 2 || e.seqs[0].length != 5 {
		t.Errorf("entered at %d, want %d; %+v", got, want, e.seqs)
	}
}

// The computed sizes that determine a block's form equal the sizes of the output, to the bit.
func TestBlock_SizesAreExact(t *testing.T) {
	for _, text := range [][]byte{jsonText(source(1), 300), jsonText(source(2), 20000), rareBytes(source(3), 5000), []byte("aaaaaaaaaaaaaaaa"), {200}} {
		counted := func() *encoder {
			e := newEncoder()
			e.Reset(maxWindow, nil, nil)
			e.end = copy(e.buf[:], text)
			e.find()
			e.litFreq[endOfBlock] = 1
			return e
		}
		written := func(e *encoder, b []byte) int { return 8*len(b) + int(e.n) - 3 } // without the three bits of the block's type

		e := counted()
		missing := max(0, 2-e.distances()) // distances that get a one-bit codeword and are counted as if they occurred
		size := e.buildDynamic() + e.extra - missing
		if got := written(e, e.encode(e.dynamic.header(e, make([]byte, 0, 2*len(text)+400)), &e.dynamic.lit, &e.dynamic.dist)); got != size {
			t.Errorf("%d bytes with dynamic codes: %d bits, counted as %d", len(text), got, size)
		}
		e = counted()
		size = e.fixedBits()
		e.putBits(typeFixed<<1, 3)
		if got := written(e, e.encode(make([]byte, 0, 2*len(text)+400), fixedLit, fixedDist)); got != size {
			t.Errorf("%d bytes with the fixed codes: %d bits, counted as %d", len(text), got, size)
		}
	}
}

// Of the data before a message, only the last window is used.
func TestReset_MoreThanAWindow(t *testing.T) {
	all := jsonText(source(4), 1000)
	for _, tt := range []struct{ older, newer, window, want int }{
		{0, 0, 256, 0}, {0, 256, 256, 256}, {0, 257, 256, 256}, {100, 156, 256, 256}, {100, 157, 256, 256}, {500, 500, 512, 512}, {10, 20, 512, 30}, {300, 0, 256, 256},
	} {
		e := newEncoder()
		e.Reset(tt.window, all[:tt.older], all[tt.older:][:tt.newer])
		given := all[:tt.older+tt.newer]
		if got := string(e.buf[:e.end]); got != string(given[len(given)-tt.want:]) || e.start != e.end {
			t.Errorf("%d and %d bytes for a window of %d: %d are used, want the last %d", tt.older, tt.newer, tt.window, e.end, tt.want)
		}
	}
}
