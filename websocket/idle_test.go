package websocket

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestIdleConnectionIsSmall checks the heap size of an idle connection, excluding its net.Conn (0.3 KB) and the stack of the
// reading goroutine. It must not hold a read buffer, a write buffer, or data of the handshake. About 0.6 KB of the result is the
// goroutine itself, its closure and its buffer.
func TestIdleConnectionIsSmall(t *testing.T) {
	const n, most = 500, 2200
	servers, peers := make([]net.Conn, n), make([]raw, n)
	for i := range n {
		near, far := tcpPair(t)
		servers[i], peers[i] = near, raw{t, far, protocol.RoleClient}
		t.Cleanup(func() { near.Close(); far.Close() })
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // sync.Pool releases its items in the second collection
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	conns := make([]*Conn, n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := heap()
	for i, nc := range servers {
		conns[i] = overStream(nc, protocol.RoleServer, nil)
		ready := make(chan bool)
		go func() {
			buf := make([]byte, 0, 64)
			m, err := readAppend(ctx, conns[i], buf)
			if err == nil {
				err = conns[i].Write(ctx, m)
			}
			ready <- err == nil
			readAppend(ctx, conns[i], buf) // waits for a message
		}()
		peers[i].send(peers[i].frame(1, true, "echo this"))
		if !bounded.Receive(t, ready) {
			t.Fatal("no echo")
		}
		peers[i].expect(1, "echo this")
	}
	each := (heap() - before) / n
	t.Logf("%d bytes of heap per connection", each)
	if each > most {
		t.Errorf("%d bytes of heap per connection, want at most %d", each, most)
	}
	for _, c := range conns {
		c.CloseNow()
	}
}

// TestCompressionKeepsOnlyItsContext checks the memory that permessage-deflate adds to an idle connection, after enough data to
// fill the windows: at most 40 KB with context takeover and 15-bit windows in both directions, 10 KB with 12-bit windows, and 2 KB
// without context takeover.
func TestCompressionKeepsOnlyItsContext(t *testing.T) {
	tests := []struct {
		name   string
		agreed handshake.Deflate
		most   int64
	}{
		{"takeover", handshake.Deflate{}, 40_000},
		{"takeover with windows of 12 bits", handshake.Deflate{ServerBits: 12, ClientBits: 12}, 10_000},
		{"no takeover", handshake.Deflate{ServerNoTakeover: true, ClientNoTakeover: true}, 2_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with := heapOfPairs(t, func(c *Conn) { compressLater(c, tt.agreed, &Compression{}) })
			without := heapOfPairs(t, func(*Conn) {})
			t.Logf("%d more bytes of heap per connection", with-without)
			if with-without > tt.most {
				t.Errorf("%d more bytes of heap per connection, want at most %d", with-without, tt.most)
			}
		})
	}
}

// heapOfPairs returns the heap size that a connection retains after it has transferred 100 KB in each direction.
func heapOfPairs(t *testing.T, prepare func(*Conn)) int64 {
	t.Helper()
	const n = 50
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := int64(m.HeapAlloc)
	var pairs [n][2]*Conn
	ctx := bounded.Context(t)
	buf := make([]byte, 0, 1<<20)
	for i := range pairs {
		a, b := tcpConns(t, nil)
		pairs[i] = [2]*Conn{a, b}
		prepare(a)
		prepare(b)
		for range 10 {
			for j := range 2 {
				text := fmt.Appendf(nil, "%d %d %s", i, j, strings.Repeat("words and numbers 123, ", 450))
				if err := pairs[i][j].Write(ctx, Message{Text, text}); err != nil {
					t.Fatal(err)
				}
				if _, err := readAppend(ctx, pairs[i][1-j], buf); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	after := int64(m.HeapAlloc)
	for _, p := range pairs {
		p[0].CloseNow()
		p[1].CloseNow()
	}
	return (after - before) / (2 * n)
}
