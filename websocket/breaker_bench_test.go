package websocket

import (
	"net"
	"testing"

	"github.com/handfast/handfast/websocket/protocol"
)

// BenchmarkSendDropsOldest sends to a peer that does not read: each message replaces the oldest of 12,000.
func BenchmarkSendDropsOldest(b *testing.B) {
	near, far := net.Pipe()
	defer far.Close()
	c := overStream(near, protocol.RoleServer, &ConnOptions{QueueFull: QueueDropOldest})
	defer c.CloseNow()
	p := prepare(b, "a price: 123.45")
	for c.outbox.pending.queued <= defaultQueueBytes-len(p.frames().Plain())-entryCost {
		c.SendPrepared(p)
	}
	for b.Loop() {
		c.SendPrepared(p)
	}
}
