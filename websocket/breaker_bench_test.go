package websocket

import (
	"net"
	"testing"
)

// BenchmarkSendDropsOldest sends to a peer that does not read: each message takes the place of the oldest of 12,000.
func BenchmarkSendDropsOldest(b *testing.B) {
	near, far := net.Pipe()
	defer far.Close()
	c := overStream(near, RoleServer, &ConnOptions{WriteQueue: WriteQueue{Full: QueueDropOldest}})
	defer c.CloseNow()
	p := prepare(b, "a price: 123.45")
	for c.queued <= defaultQueueBytes-len(p.frames().Plain())-entryCost {
		c.SendPrepared(p)
	}
	for b.Loop() {
		c.SendPrepared(p)
	}
}
