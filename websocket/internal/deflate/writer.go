package deflate

import (
	"errors"
	"io"
)

// emitSize is the number of bytes of compressed data that are emitted at a time while a message is being written.
const emitSize = 4 << 10

// Writer compresses one message while it is being written. It uses an encoder from the pool until Close. It is not safe for
// concurrent use.
type Writer struct {
	c    *Compressor
	enc  Encoder // nil after it was returned to the pool
	emit func(p []byte, last bool) error
	out  []byte
	err  error
}

var _ io.WriteCloser = (*Writer)(nil)

var errWriterClosed = errors.New("deflate: write to a closed writer")

// NewWriter compresses a message whose length is not known yet. emit receives the payload in pieces, each of which is only valid during the
// call. last marks the final piece, and is set exactly once unless there is an error. No piece is empty. If emit returns an error, every
// later call of the Writer returns it, too.
//
// No other message may be compressed before Close, and Close must be called: the written bytes become context from the first Write
// on.
func (c *Compressor) NewWriter(emit func(p []byte, last bool) error) *Writer {
	return &Writer{c: c, enc: c.begin(), emit: emit}
}

// Write implements io.Writer. It buffers bytes until they fill a block.
func (w *Writer) Write(p []byte) (int, error) {
	for done := 0; ; {
		if w.err != nil {
			return done, w.err
		}
		if done == len(p) {
			return done, nil
		}
		k := min(len(p)-done, blockSize)
		w.out = w.enc.Encode(w.out, p[done:done+k], NoFlush)
		w.c.Note(p[done : done+k])
		done += k
		if len(w.out) >= emitSize {
			w.emitOut(false)
		}
	}
}

// Flush emits everything that was written so far, so that the peer can inflate it without waiting for more.
func (w *Writer) Flush() error {
	if w.err == nil {
		w.out = w.enc.Encode(w.out, nil, SyncFlush)
		w.emitOut(false)
	}
	return w.err
}

// Close ends the message and returns the encoder to the pool. A second Close has no effect.
func (w *Writer) Close() error {
	if w.err == errWriterClosed {
		return nil
	}
	if w.err != nil {
		return w.err
	}
	w.out = w.enc.Encode(w.out, nil, EndFlush)
	if w.emitOut(true); w.err != nil {
		return w.err
	}
	w.end(errWriterClosed)
	return nil
}

func (w *Writer) emitOut(last bool) {
	if err := w.emit(w.out, last); err != nil {
		w.end(err)
		return
	}
	w.out = w.out[:0]
}

func (w *Writer) end(err error) {
	w.c.codec().encoders.Put(w.enc)
	w.enc, w.out, w.err = nil, nil, err
}
