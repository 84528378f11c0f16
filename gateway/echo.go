package gateway

import (
	"context"
	"io"
	"sync"

	"github.com/handfast/handfast/websocket"
)

// echoMax is the largest message that is echoed. It passes through a buffer, so that its size costs no memory.
const echoMax = 16 << 20

// echoBuffers are borrowed from when a message comes: a connection that waits holds none.
var echoBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// echo sends every message back, in order.
func echo(ctx context.Context, c *websocket.Conn) error {
	for {
		t, r, err := c.Reader(ctx)
		if err != nil {
			return err
		}
		if err := echoOne(ctx, c, t, r); err != nil {
			return err
		}
	}
}

func echoOne(ctx context.Context, c *websocket.Conn, t websocket.Type, r io.Reader) error {
	w, err := c.Writer(ctx, t)
	if err != nil {
		return err
	}
	buf := echoBuffers.Get().(*[32 << 10]byte)
	defer echoBuffers.Put(buf)
	if _, err := io.CopyBuffer(w, r, buf[:]); err != nil {
		return err
	}
	return w.Close()
}
