package websocket

import (
	"context"
	"net"
	"runtime"
	"testing"
)

// TestIdleConnectionIsSmall holds what a connection that waits costs in heap, besides its net.Conn (0.3 KB) and the stack
// of the goroutine that reads: no read buffer, no write buffer, nothing of the handshake. About 0.6 KB of what is measured
// is the goroutine itself, its closure and its buffer.
func TestIdleConnectionIsSmall(t *testing.T) {
	const n, most = 500, 2200
	servers, peers := make([]net.Conn, n), make([]raw, n)
	for i := range n {
		near, far := tcpPair(t)
		servers[i], peers[i] = near, raw{t, far, Client}
		t.Cleanup(func() { near.Close(); far.Close() })
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // the pools let go at the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	conns := make([]*Conn, n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := heap()
	for i, nc := range servers {
		conns[i] = NewConn(nc, Server, nil)
		ready := make(chan bool)
		go func() {
			buf := make([]byte, 0, 64)
			m, err := conns[i].ReadAppend(ctx, buf)
			if err == nil {
				err = conns[i].Write(ctx, m)
			}
			ready <- err == nil
			conns[i].ReadAppend(ctx, buf) // waits
		}()
		peers[i].send(peers[i].frame(1, true, "echo this"))
		if !<-ready {
			t.Fatal("no echo")
		}
		peers[i].expect(1, "echo this")
	}
	each := (heap() - before) / n
	t.Logf("%d bytes of heap a connection", each)
	if each > most {
		t.Errorf("%d bytes of heap a connection, want %d at most", each, most)
	}
	for _, c := range conns {
		c.CloseNow()
	}
}
