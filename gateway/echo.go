package gateway

import (
	"context"
	"io"
	"sync"

	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/websocket"
)

// echoBuffers are borrowed from when a message comes: a connection that waits holds none.
var echoBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// echo sends every message back, in order. A message passes through a buffer, so that its size costs no memory.
func echo(ctx context.Context, c *websocket.Conn, e *registry.Entry) error {
	for {
		t, r, err := c.Reader(ctx)
		if err != nil {
			return err
		}
		if err := echoOne(ctx, c, e, t, r); err != nil {
			return err
		}
	}
}

func echoOne(ctx context.Context, c *websocket.Conn, e *registry.Entry, t websocket.Type, r io.Reader) error {
	w, err := c.Writer(ctx, t)
	if err != nil {
		return err
	}
	buf := echoBuffers.Get().(*[32 << 10]byte)
	defer echoBuffers.Put(buf)
	n, err := io.CopyBuffer(w, r, buf[:])
	if err != nil {
		return err
	}
	e.In.Add(n)
	e.Out.Add(n)
	return w.Close()
}
