package websocket

import (
	"io"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// A peer is accepting data if its kernel has acknowledged more bytes than at the previous check, and some remain. If all bytes have
// been acknowledged, no ping is queued behind data.
func TestPeerThatAccepts(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, &ConnOptions{PingInterval: -1})
	takes := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.peerAccepting()
	}
	acknowledged := func() bool { n, ok := c.stream.Unsent(); return ok && n == 0 }
	if _, err := c.stream.TryWrite(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, acknowledged)
	if takes() || c.keepalive.peer.slow || c.keepalive.accepted != 10 {
		t.Errorf("with all acknowledged: slow: %v, %d bytes", c.keepalive.peer.slow, c.keepalive.accepted)
	}
	for n := 1; n > 0; {
		n, _ = c.stream.TryWrite(make([]byte, 1<<20)) // fills the socket's send buffer
	}
	if !takes() || !c.keepalive.peer.slow {
		t.Error("a part was acknowledged, but takes or slow is false")
	}
	bounded.Until(t, func() bool { return !takes() }) // data in transit may still be acknowledged
	if takes() {
		t.Error("takes is true, although nothing was acknowledged since the last check")
	}
	if !c.keepalive.peer.slow {
		t.Error("slow was reset, although a ping may be queued behind data")
	}
	if _, err := io.CopyN(io.Discard, peer.Conn, 1<<20); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, takes)
	if _, err := io.CopyN(io.Discard, peer.Conn, c.stream.Sent()-1<<20); err != nil {
		t.Fatal(err)
	}
	bounded.Until(t, acknowledged)
	if takes() || c.keepalive.accepted != c.stream.Sent() {
		t.Errorf("with all acknowledged: %d of %d bytes", c.keepalive.accepted, c.stream.Sent())
	}
}
