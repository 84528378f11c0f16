package deflate

import (
	"errors"
	"io"
)

// Reader inflates one message as it is read. It holds a decoder from the pool until Read has returned io.EOF, ErrTooBig
// or a *CorruptError, or until Close. One goroutine at a time may use it.
type Reader struct {
	d    *Decompressor
	dec  Decoder // nil when it was given back
	left int64   // bytes that the limit still allows; negative: there is none
	err  error   // what Read says then
}

// Reader inflates a message whose payload src yields, up to io.EOF. limit is as for Append, counted over what is read.
// No other message may be inflated before this one has been read to its end.
//
// Another error of src is passed on and nothing is lost by it: the next Read asks src again, and goes on with the bit
// where it stopped.
func (d *Decompressor) Reader(src io.Reader, limit int64) *Reader {
	if d.lost {
		return &Reader{err: errLost}
	}
	dec := d.codec().decoder()
	older, newer := d.past.parts()
	dec.Reset(src, d.Window.Size(), older, newer)
	return &Reader{d: d, dec: dec, left: limit}
}

// Read implements io.Reader. It returns what there is without waiting for more.
func (r *Reader) Read(p []byte) (int, error) {
	if r.dec == nil {
		return 0, r.err
	}
	n, err := r.dec.Read(p)
	if r.left >= 0 {
		if int64(n) > r.left {
			n, err = int(r.left), ErrTooBig
		}
		r.left -= int64(n)
	}
	r.d.note(p[:n])
	if err == nil {
		return n, nil
	}
	if _, corrupt := errors.AsType[*CorruptError](err); corrupt || err == io.EOF || err == ErrTooBig {
		r.end(err)
	}
	return n, err
}

// Close gives the decoder back. With context takeover a message that was not read to its end takes the context with it:
// no message can be inflated after that. Read the rest first, into io.Discard. The error is always nil.
func (r *Reader) Close() error {
	if r.dec != nil {
		r.end(errClosed)
	}
	return nil
}

var errClosed = errors.New("deflate: read from a closed reader")

func (r *Reader) end(err error) {
	r.err = err
	r.d.lost = err != io.EOF && r.d.Window.Takeover
	release(r.dec)
	r.d.codec().decoders.Put(r.dec)
	r.dec = nil
}
