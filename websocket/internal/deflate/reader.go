package deflate

import (
	"errors"
	"io"
)

// Reader inflates one message while it is being read. It uses a decoder from the pool until Read has returned io.EOF, ErrTooBig or
// a *CorruptError, or until Close. It is not safe for concurrent use.
type Reader struct {
	d    *Decompressor
	dec  Decoder // nil after it was returned to the pool
	left int64   // number of bytes that the limit still permits; negative means no limit
	err  error   // the error that later calls of Read return
}

// Reader returns a Reader for the message whose payload is src up to io.EOF. limit is as for Append, and applies to the bytes read. No
// other message may be inflated before this message has been read completely.
//
// Other errors of src are returned unchanged, and no data is lost: the next Read reads src again, and continues at the bit at which
// the previous one stopped.
func (d *Decompressor) Reader(src io.Reader, limit int64) *Reader {
	if d.contextLost {
		return &Reader{err: errLost}
	}
	dec := d.codec().decoder()
	older, newer := d.history.parts()
	dec.Reset(src, d.Window.Size(), older, newer)
	return &Reader{d: d, dec: dec, left: limit}
}

// Read implements io.Reader. It returns the available bytes without waiting for more.
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
	r.d.addContext(p[:n])
	if err == nil {
		return n, nil
	}
	if _, corrupt := errors.AsType[*CorruptError](err); corrupt || err == io.EOF || err == ErrTooBig {
		r.end(err)
	}
	return n, err
}

// Close returns the decoder to the pool. With context takeover, closing before the end of the message loses the context: no further message
// can be inflated. To keep the context, copy the rest to io.Discard first. The error is always nil.
func (r *Reader) Close() error {
	if r.dec != nil {
		r.end(errClosed)
	}
	return nil
}

var errClosed = errors.New("deflate: read from a closed reader")

func (r *Reader) end(err error) {
	r.err = err
	r.d.contextLost = err != io.EOF && r.d.Window.Takeover
	release(r.dec)
	r.d.codec().decoders.Put(r.dec)
	r.dec = nil
}
