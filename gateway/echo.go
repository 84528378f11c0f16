package gateway

import (
	"context"
	"io"
	"sync"

	"github.com/handfast/handfast/websocket"
)

// echo is the target that sends every message back, in order. It copies messages through a buffer, so that the size of a message does not
// affect memory use, and it does not read from a client that does not read.
type echo struct{}

// Open implements [Target].
func (echo) Open(_ context.Context, r *Request) (*Opened, error) {
	received, sent := r.Received, r.Sent
	return &Opened{Serve: func(_ context.Context, c *websocket.Conn) error {
		for {
			w, n, err := echoOne(c)
			if err != nil {
				return err
			}
			if err := received(n); err != nil {
				return err
			}
			sent(n)
			if err := w.Close(); err != nil {
				return err
			}
		}
	}}, nil
}

// Close implements [Target].
func (echo) Close() error { return nil }

// echoBuffers is a pool of buffers. A connection holds one only during a message.
var echoBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// echoOne copies one message to a Writer, and returns the Writer and the size of the message. Closing the Writer sends the
// final frame.
func echoOne(c *websocket.Conn) (io.WriteCloser, int64, error) {
	ctx := context.Background() // calls end with the connection
	t, r, err := c.Reader(ctx)
	if err != nil {
		return nil, 0, err
	}
	w, err := c.Writer(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	buf := echoBuffers.Get().(*[32 << 10]byte)
	defer echoBuffers.Put(buf)
	n, err := io.CopyBuffer(w, r, buf[:])
	return w, n, err
}
