package deflate

import "math/bits"

// minHistory is the minimum number of bytes that a history allocates.
const minHistory = 256

// history is a ring buffer with the last bytes of a direction. It is the only memory for compression that an idle connection
// retains. It starts empty and doubles up to the limit, which is a power of two and constant for one history.
type history struct {
	buf []byte // nil, or a slice whose length is a power of two
	at  int32  // index of the next byte to write
	n   int32  // number of bytes
}

// parts returns the content, oldest first. The slices share the memory of h and are valid until the next add.
func (h *history) parts() (older, newer []byte) {
	if h.n <= h.at {
		return nil, h.buf[h.at-h.n : h.at]
	}
	return h.buf[len(h.buf)-int(h.n-h.at):], h.buf[:h.at]
}

// add appends p, and drops the oldest bytes beyond limit.
func (h *history) add(p []byte, limit int) {
	if len(p) > limit {
		p = p[len(p)-limit:]
	}
	if need := min(int(h.n)+len(p), limit); need > len(h.buf) {
		h.grow(min(limit, max(minHistory, 1<<bits.Len(uint(need-1)))))
	}
	if len(p) == 0 {
		return
	}
	k := copy(h.buf[h.at:], p)
	copy(h.buf, p[k:])
	h.at = (h.at + int32(len(p))) & int32(len(h.buf)-1)
	h.n = min(h.n+int32(len(p)), int32(len(h.buf)))
}

func (h *history) grow(size int) {
	older, newer := h.parts()
	buf := make([]byte, size)
	k := copy(buf, older)
	k += copy(buf[k:], newer)
	h.buf, h.n, h.at = buf, int32(k), int32(k)
}
