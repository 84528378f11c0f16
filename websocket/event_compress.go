package websocket

import (
	"errors"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/deflate"
	"github.com/handfast/handfast/websocket/protocol"
)

// eventCompression holds the additional state of a connection with permessage-deflate. While the connection waits, it holds only the data
// that context takeover requires. The holder owns in; the lock of the descriptor guards out.
type eventCompression struct {
	threshold int
	out       deflate.Compressor
	in        deflate.Decompressor
}

func newEventCompression(agreed handshake.Deflate, o *Compression) *eventCompression {
	z := &eventCompression{threshold: o.Threshold}
	if z.threshold == 0 {
		z.threshold = defaultThreshold
	}
	z.out.Window = deflate.Window{Bits: handshake.WindowBits(agreed.ServerBits), Takeover: !agreed.ServerNoTakeover}
	z.in.Window = deflate.Window{Bits: handshake.WindowBits(agreed.ClientBits), Takeover: !agreed.ClientNoTakeover}
	return z
}

// enqueueCompressed sends m compressed, or uncompressed if the uncompressed form is shorter. The caller holds the lock.
func (c *eventOutbox) enqueueCompressed(m Message) error {
	z := c.link.compression()
	if c.link.kind.opts.queue.full == QueueDropOldest {
		z.out.Forget() // the peer may not receive the earlier messages
	}
	text := m.Type == Text
	f := borrow(len(m.Data))
	defer f.free()
	f.set(z.out.Append(f.b, m.Data))
	if len(f.b) >= len(m.Data) {
		z.out.Forget() // the peer will not receive the compressed data
		return c.enqueue(text, false, m.Data)
	}
	return c.enqueue(text, true, f.b)
}

// inflate decompresses a message and delivers it.
func (c *eventInbox) inflate(text bool, p []byte) {
	f := borrow(protocol.NewMemory * len(p))
	defer f.free()
	b, err := c.outbox.link.compression().in.Append(f.b, p, max(c.outbox.link.kind.opts.limits.MaxMessage, -1))
	f.set(b)
	if err == nil {
		err = c.outbox.link.m.Inflated(f.b, true)
	} else if corrupt, ok := errors.AsType[*deflate.CorruptError](err); ok {
		err = c.outbox.link.m.CannotInflate(corrupt.Section, corrupt.Detail)
	} else if errors.Is(err, deflate.ErrTooBig) {
		err = c.outbox.link.m.InflatesTooBig()
	}
	if err != nil {
		c.violated(err)
		return
	}
	c.deliver(text, f.b)
}
