package deflate

import "math"

const (
	blockSize = 32 << 10 // maximum number of input bytes in a block, except in the last block of a message
	maxWindow = 1 << MaxBits
	pad       = 8 // unused bytes after the input, so that eight bytes can be loaded at every position
)

// encoder implements Encoder. It occupies 150 KiB, and encoders are pooled.
type encoder struct {
	window     int
	base       uint32 // position of buf[0] in all input that this encoder ever received; never 0
	start, end int    // buf[:start] is history, and buf[start:end] is to be encoded
	table      [1 << tableBits]uint32
	buf        [maxWindow + blockSize + pad]byte

	seqs     []seq
	litFreq  [numLitLen]uint16
	distFreq [numDist]uint16
	extra    int // total extra bits of all matches
	matched  int // bytes covered by matches

	dynamic dynamic
	acc     uint64 // bits that do not fill a byte yet
	n       uint
}

func newEncoder() *encoder {
	return &encoder{base: 1, seqs: make([]seq, 0, blockSize/minMatch+1)}
}

// Reset implements Encoder.
func (e *encoder) Reset(window int, older, newer []byte) {
	e.advance(e.end)
	e.window = window
	e.acc, e.n = 0, 0
	newer = lastBytes(newer, window)
	older = lastBytes(older, window-len(newer))
	e.end = copy(e.buf[:], older)
	e.end += copy(e.buf[e.end:], newer)
	e.start = e.end
	e.addDictionary()
}

func lastBytes(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// advance adds n to the position of buf[0]. The positions restart long before they would overflow.
func (e *encoder) advance(n int) {
	e.base += uint32(n)
	if e.base > math.MaxUint32/2 {
		clear(e.table[:])
		e.base = 1
	}
}

// Encode implements Encoder.
func (e *encoder) Encode(dst, p []byte, flush Flush) []byte {
	for {
		room := min(maxWindow+blockSize, e.start+blockSize)
		n := copy(e.buf[e.end:room], p)
		e.end += n
		p = p[n:]
		if len(p) == 0 {
			break
		}
		dst = e.block(dst)
		e.slide()
	}
	if flush == NoFlush {
		return dst
	}
	if e.end > e.start {
		dst = e.block(dst)
	}
	dst = e.align(dst)
	if flush == SyncFlush {
		dst = append(dst, tail[:]...)
	}
	return dst
}

// slide makes room for a block if there is not enough room after the history.
func (e *encoder) slide() {
	if e.end+blockSize <= maxWindow+blockSize {
		return
	}
	cut := e.end - e.window
	e.end = copy(e.buf[:], e.buf[cut:e.end])
	e.start = e.end
	e.advance(cut)
}
