package deflate

import "math"

const (
	blockSize = 32 << 10 // input bytes of one block, the last one of a message aside
	maxWindow = 1 << MaxBits
	pad       = 8 // so that eight bytes can be loaded wherever one can
)

// encoder implements Encoder. It takes 150 KiB and lives in a pool.
type encoder struct {
	window     int
	base       uint32 // position of buf[0], counted over everything that this encoder was ever given; never 0
	start, end int    // buf[:start] is history, buf[start:end] waits to be encoded
	table      [1 << tableBits]uint32
	buf        [maxWindow + blockSize + pad]byte

	seqs     []seq
	litFreq  [numLitLen]uint16
	distFreq [numDist]uint16
	extra    int // extra bits of all matches together
	matched  int // bytes that they stand for

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
	newer = last(newer, window)
	older = last(older, window-len(newer))
	e.end = copy(e.buf[:], older)
	e.end += copy(e.buf[e.end:], newer)
	e.start = e.end
	e.enter()
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// advance makes buf[n] position zero of the buffer. The positions start again long before they wrap around.
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

// slide makes room for a block when there is none behind the history.
func (e *encoder) slide() {
	if e.end+blockSize <= maxWindow+blockSize {
		return
	}
	cut := e.end - e.window
	e.end = copy(e.buf[:], e.buf[cut:e.end])
	e.start = e.end
	e.advance(cut)
}
