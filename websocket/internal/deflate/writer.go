package deflate

import (
	"errors"
	"io"
)

// fragment is the size in bytes from which on compressed data is passed on while a message is being written.
const fragment = 4 << 10

// Writer compresses one message as it is written. It holds an encoder from the pool until Close. One goroutine at a time
// may use it.
type Writer struct {
	c    *Compressor
	enc  Encoder // nil when it was given back
	emit func(p []byte, last bool) error
	out  []byte
	err  error
}

var _ io.WriteCloser = (*Writer)(nil)

var errWriterClosed = errors.New("deflate: write to a closed writer")

// NewWriter compresses a message whose length is not known yet. emit gets its payload in pieces, each valid during the
// call only; last marks the one that ends the message, and comes exactly once unless there is an error. None is empty.
// An error from emit ends the writer, and every later call returns it.
//
// No other message may be compressed before Close, and a message that was begun must be closed: its bytes are context
// from the first Write on.
func (c *Compressor) NewWriter(emit func(p []byte, last bool) error) *Writer {
	return &Writer{c: c, enc: c.begin(), emit: emit}
}

// Write implements io.Writer. It keeps bytes back until they make a block.
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
		if len(w.out) >= fragment {
			w.pass(false)
		}
	}
}

// Flush passes on all that was written, so that the peer can inflate it without waiting for more.
func (w *Writer) Flush() error {
	if w.err == nil {
		w.out = w.enc.Encode(w.out, nil, SyncFlush)
		w.pass(false)
	}
	return w.err
}

// Close ends the message and gives the encoder back. A second Close does nothing.
func (w *Writer) Close() error {
	if w.err == errWriterClosed {
		return nil
	}
	if w.err != nil {
		return w.err
	}
	w.out = w.enc.Encode(w.out, nil, EndFlush)
	if w.pass(true); w.err != nil {
		return w.err
	}
	w.end(errWriterClosed)
	return nil
}

func (w *Writer) pass(last bool) {
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
