package gateway

import (
	"context"
	"io"
	"sync"

	"github.com/handfast/handfast/websocket"
)

// echo is the target that sends every message back, in order. A message passes through a buffer, so that its size costs no
// memory, and a client that does not read is not read from.
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

// echoBuffers are borrowed from when a message comes: a connection that waits holds none.
var echoBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// echoOne echoes one message except its end, which Close on the Writer sends, and returns its size.
func echoOne(c *websocket.Conn) (io.WriteCloser, int64, error) {
	ctx := context.Background() // a connection that ends ends its calls
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
