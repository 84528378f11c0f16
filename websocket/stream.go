package websocket

import (
	"context"
	"errors"
	"io"

	"github.com/handfast/handfast/websocket/internal/deflate"
	"github.com/handfast/handfast/websocket/internal/utf8x"
)

// Reader waits for the next message and returns its type and a reader for its bytes, for messages that should not be held in memory
// as a whole. ctx interrupts every read from it: the read returns an error that wraps ctx's, and the connection stays open.
// MaxMessage applies.
//
// The reader is valid until the next read on the connection, which skips the remainder of the message; from then on the reader
// returns an error. Text is checked as it arrives: if the end of a message is not valid UTF-8, the reader returns an error after
// the valid bytes.
func (c *Conn) Reader(ctx context.Context) (Type, io.Reader, error) {
	if err := c.inbox.beginRead(ctx, 0); err != nil {
		return 0, nil, err
	}
	defer c.inbox.endRead(false)
	if err := c.inbox.skipRest(ctx); err != nil {
		return 0, nil, err
	}
	r := &messageReader{c: c, ctx: ctx, seq: c.inbox.readSeq}
	if c.inbox.hasPartial {
		r.head = c.inbox.partial
		c.inbox.partial, c.inbox.hasPartial = nil, false
		c.inbox.readerOpen = true
		return typeOf(c.m.Text()), r, nil
	}
	ev, err := c.inbox.next(ctx)
	if err != nil {
		return 0, nil, err
	}
	c.inbox.readerOpen = true
	if ev.Compressed {
		c.compression.begin(ev)
	} else {
		c.inbox.cur, c.inbox.pending = ev, true
	}
	return typeOf(ev.Text), r, nil
}

// messageReader reads one message.
type messageReader struct {
	c    *Conn
	ctx  context.Context
	seq  uint64 // the number of the read that returned this reader
	head []byte // the part of the message that an interrupted Read had received
	err  error  // io.EOF at the end of the message, or the error that ended reading
}

func (r *messageReader) Read(p []byte) (int, error) {
	c := r.c
	if r.err != nil {
		return 0, r.err
	}
	if err := c.inbox.beginRead(r.ctx, r.seq); err != nil {
		return 0, err
	}
	defer c.inbox.endRead(false)
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	n, last, err := r.piece(p)
	if err != nil && c.ended() != nil {
		r.err = err
	}
	if last {
		c.inbox.readerOpen = false
		r.err = io.EOF
		if n == 0 {
			return 0, io.EOF
		}
	}
	return n, err
}

// piece reads the available part of the message into p, and reports whether the message has ended.
func (r *messageReader) piece(p []byte) (n int, last bool, err error) {
	c := r.c
	if c.compression != nil && c.compression.message != nil {
		n, err := c.compression.inflate(r.ctx, p)
		if err == io.EOF {
			return n, true, nil
		}
		return n, false, err
	}
	ev, err := c.inbox.next(r.ctx)
	if err != nil {
		return 0, false, err
	}
	n = copy(p, ev.Payload)
	if n < len(ev.Payload) {
		ev.Payload = ev.Payload[n:]
		c.inbox.cur, c.inbox.pending = ev, true
		return n, false, nil
	}
	return n, ev.Last, nil
}

// streamChunk is the size at which a Writer sends a frame.
const streamChunk = 16 << 10

// Writer starts a message of unknown length: data written to the returned writer is sent in frames of up to 16 KiB, and Close ends
// the message. Other messages wait until then; pings and close frames do not. ctx applies to the whole message: if it is done after
// the first frame was sent, the connection is closed.
//
// Only one goroutine may use the writer. It must be closed, since no other message can be sent before that.
func (c *Conn) Writer(ctx context.Context, t Type) (io.WriteCloser, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if err := c.outbox.beginMessage(ctx); err != nil {
		return nil, err
	}
	w := &messageWriter{c: c, ctx: ctx, t: t}
	if c.compression != nil {
		c.compression.refresh()
		w.deflater = c.compression.out.NewWriter(func(p []byte, last bool) error {
			err := c.outbox.writeFrame(ctx, outgoing{t: t, compressed: true, fin: last, p: p})
			w.begun = w.begun || err == nil
			return err
		})
	}
	return w, nil
}

type messageWriter struct {
	c        *Conn
	ctx      context.Context
	t        Type
	buf      []byte
	deflater *deflate.Writer // nil without compression
	begun    bool            // a frame of the message has been sent
	utf8     utf8x.Validator
	err      error
}

var errWriterClosed = errors.New("websocket: this message has ended: its writer was closed")

func (w *messageWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.t == Text && !w.utf8.Write(p) {
		return 0, w.fail(errInvalidUTF8)
	}
	n := len(p)
	if w.deflater != nil {
		if n, err := w.deflater.Write(p); err != nil {
			return n, w.fail(err)
		}
		return n, nil
	}
	if len(w.buf)+len(p) < streamChunk {
		w.buf = append(w.buf, p...)
		return n, nil
	}
	if len(w.buf) > 0 {
		k := streamChunk - len(w.buf)
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
		if err := w.frame(w.buf, false); err != nil {
			return 0, err
		}
		w.buf = w.buf[:0]
	}
	for len(p) >= streamChunk {
		if err := w.frame(p[:streamChunk], false); err != nil {
			return 0, err
		}
		p = p[streamChunk:]
	}
	w.buf = append(w.buf, p...)
	return n, nil
}

// Close sends the remaining data as the message's last frame.
func (w *messageWriter) Close() error {
	if w.err != nil {
		if w.err == errWriterClosed {
			return nil
		}
		return w.err
	}
	if w.t == Text && !w.utf8.Complete() {
		return w.fail(errInvalidUTF8)
	}
	if w.deflater != nil {
		if err := w.deflater.Close(); err != nil {
			return w.fail(err)
		}
	} else if err := w.frame(w.buf, true); err != nil {
		return err
	}
	w.finish(errWriterClosed)
	return nil
}

func (w *messageWriter) frame(p []byte, fin bool) error {
	if err := w.c.outbox.writeFrame(w.ctx, outgoing{t: w.t, fin: fin, p: p}); err != nil {
		return w.fail(err)
	}
	w.begun = true
	return nil
}

// fail abandons the message. If a part of it was sent, the connection is closed.
func (w *messageWriter) fail(err error) error {
	if w.begun {
		w.c.mu.Lock()
		over := w.c.outbox.canWrite() != nil // the closing handshake ends the connection: no frame of a message can follow a close frame
		w.c.mu.Unlock()
		if !over {
			w.c.end(&CloseError{Code: CodeAbnormal, Err: err})
		}
	}
	if w.deflater != nil {
		w.c.compression.out.Forget() // the compressor has seen data that the peer will not receive
	}
	w.finish(err)
	return err
}

func (w *messageWriter) finish(err error) {
	w.err, w.buf = err, nil
	w.c.outbox.endMessage()
}
