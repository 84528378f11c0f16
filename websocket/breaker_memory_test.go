package websocket

import (
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestIdleMemory measures the memory of a TCP connection that has echoed a message and is waiting for the next one. The memory of
// the socket, which every user of package net needs, is measured separately.
func TestIdleMemory(t *testing.T) {
	const pairs = 500
	heap := func() int64 {
		for range 3 { // sync.Pool releases its items in the second collection
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var wg sync.WaitGroup
	nets := make([][2]net.Conn, pairs)
	conns := make([]*Conn, 0, 2*pairs)
	started := make(chan struct{})
	for range 2*pairs + 100 { // allocates the runtime's memory for that many goroutines in advance
		wg.Go(func() { <-started })
	}
	close(started)
	wg.Wait()
	ctx := bounded.Context(t)
	bare := heap()
	for i := range nets {
		near, far := tcpPair(t)
		nets[i] = [2]net.Conn{near, far}
	}
	sockets := heap() - bare
	opts := &ConnOptions{PingInterval: time.Hour} // otherwise a ping would be measured, too
	for _, nc := range nets {
		client, server := overStream(nc[0], protocol.RoleClient, opts), overStream(nc[1], protocol.RoleServer, opts)
		conns = append(conns, client, server)
		wg.Go(func() { echo(server) })
		if err := client.Write(ctx, Message{Text, make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(ctx); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { echo(client) }) // no message arrives
	}
	for _, c := range conns { // waits until all connections are idle
		bounded.Until(t, func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.inbox.waiting && !c.outbox.out.held
		})
	}
	all := heap() - bare
	each := (all - sockets) / (2 * pairs)
	t.Logf("%d bytes per connection, and %d for its socket", each, sockets/(2*pairs))
	if each > 1536 {
		t.Errorf("an idle connection holds %d bytes", each)
	}
	for _, c := range conns {
		c.CloseNow()
	}
	wg.Wait()
}
