package deflate

import (
	"io"
	"slices"
)

// decoder implements Decoder with an inflater. It occupies 16 KiB, and 64 KiB more once it has been used for streaming. Decoders
// are pooled.
type decoder struct {
	f inflater

	// These fields are for streaming, where the output passes through a window buffer.
	src       io.Reader
	srcErr    error // error that src returned with its last bytes; reported when these bytes are used up
	err       error // io.EOF, or the error of the message
	sawInput  bool  // src was not empty
	tailAdded bool  // src has ended and tail was appended
	r         int   // buf[r:f.w] has not been read yet
	buf       []byte
	in        [2048]byte
}

// appendWhole implements wholeDecoder: it writes directly into dst.
func (d *decoder) appendWhole(dst, compressed []byte, limit int64, window int, older, newer []byte) ([]byte, error) {
	if len(compressed) == 0 {
		return dst, nil
	}
	f := &d.f
	defer f.dropRefs()
	f.begin(window, older, newer)
	f.in = compressed
	f.base, f.w, f.out = len(dst), len(dst), dst
	if cap(dst) == len(dst) {
		f.grow(limit, 3*len(compressed)+fastOutput)
	} else {
		f.grow(limit, 0)
	}
	for tailAdded := false; ; {
		why, err := f.run()
		switch {
		case err != nil:
			return dst, err
		case why == needOutput && limit >= 0 && int64(f.w-f.base) >= limit:
			return dst, ErrTooBig
		case why == needOutput:
			f.grow(limit, f.w-f.base+fastOutput)
		case !tailAdded && !f.ended():
			f.in, tailAdded = tail[:], true
		case tailAdded && !f.complete():
			return dst, ErrTruncated
		default:
			return f.out[:f.w], nil
		}
	}
}

// grow makes room for at least n bytes, but not beyond the limit.
func (f *inflater) grow(limit int64, n int) {
	if limit >= 0 {
		n = int(min(int64(n), limit-int64(f.w-f.base)))
	}
	f.out = slices.Grow(f.out[:f.w], n)
	f.out = f.out[:cap(f.out)]
	if limit >= 0 && int64(len(f.out)-f.base) > limit {
		f.out = f.out[:f.base+int(limit)]
	}
}

// dropRefs drops all references to the caller's memory.
func (f *inflater) dropRefs() { f.in, f.out, f.older, f.newer = nil, nil, nil, nil }

// Reset implements Decoder.
func (d *decoder) Reset(src io.Reader, window int, older, newer []byte) {
	if d.buf == nil {
		d.buf = make([]byte, 2*maxWindow)
	}
	d.src, d.srcErr, d.err, d.sawInput, d.tailAdded = src, nil, nil, false, false
	f := &d.f
	f.begin(window, nil, nil)
	newer = lastBytes(newer, window)
	older = lastBytes(older, window-len(newer))
	f.base, f.out = 0, d.buf
	f.w = copy(f.out, older)
	f.w += copy(f.out[f.w:], newer)
	d.r = f.w
}

// Read implements Decoder. It returns everything that can be inflated from the bytes received so far before it reads src again.
func (d *decoder) Read(p []byte) (int, error) {
	f := &d.f
	for {
		if d.r < f.w || len(p) == 0 {
			n := copy(p, f.out[d.r:f.w])
			d.r += n
			return n, nil
		}
		if d.err != nil {
			return 0, d.err
		}
		why, err := f.run()
		switch {
		case err != nil:
			d.err = err
		case f.w > d.r:
		case why == needOutput: // all of the output has been read: retain the window
			f.w = copy(f.out, f.out[f.w-f.window:f.w])
			d.r = f.w
		default:
			if err := d.fill(); err != nil {
				return 0, err
			}
		}
	}
}

// fill passes more input to the inflater when the inflater has consumed its input. If src has no more input, fill sets err.
func (d *decoder) fill() error {
	err := d.srcErr
	d.srcErr = nil
	for empty := 0; err == nil && !d.tailAdded; empty++ {
		if empty == 100 {
			return io.ErrNoProgress
		}
		var n int
		n, err = d.src.Read(d.in[:])
		if n > 0 {
			d.f.in, d.sawInput, d.srcErr = d.in[:n], true, err
			return nil
		}
	}
	switch {
	case err != nil && err != io.EOF:
		return err
	case !d.sawInput || d.f.ended() || d.tailAdded && d.f.complete():
		d.err = io.EOF
	case d.tailAdded:
		d.err = ErrTruncated
	default:
		d.f.in, d.tailAdded = tail[:], true
	}
	return nil
}
