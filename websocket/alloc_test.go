//go:build !race

// The race detector makes sync.Pool drop items, which causes allocations, so this file is excluded from builds with the race
// detector.

package websocket

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/allocs"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestNoAllocationPerMessage reads and writes messages with the caller's buffer and a cancelable context.
func TestNoAllocationPerMessage(t *testing.T) {
	for _, size := range []int{0, 16, 128, 1 << 10, 16 << 10, 64 << 10, 1 << 20} {
		for _, role := range []protocol.Role{protocol.RoleClient, protocol.RoleServer} {
			t.Run(fmt.Sprintf("%d/%v", size, role), func(t *testing.T) {
				a, b := tcpConns(t, nil)
				if role == protocol.RoleServer {
					a, b = b, a
				}
				go echoNoAlloc(b)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := Message{Binary, make([]byte, size)}
				buf := make([]byte, 0, size+1)
				n := allocs.PerRun(50, func() {
					wrote := a.Write(ctx, m)
					got, err := readAppend(ctx, a, buf)
					if wrote != nil || err != nil || len(got.Data) != size {
						t.Fatalf("%v, %v, %d bytes", wrote, err, len(got.Data))
					}
				})
				if n > 0 {
					t.Errorf("%v allocations per message", n)
				}
			})
		}
	}
}

// TestNoAllocationPerMessageOverTLS allows as many allocations as crypto/tls makes for the same bytes.
func TestNoAllocationPerMessageOverTLS(t *testing.T) {
	for _, size := range []int{128, 8 << 10} {
		bare := allocs.PerRun(50, bareTLSEcho(t, size))
		near, far := tlsPair(t)
		client, server := overStream(near, protocol.RoleClient, nil), overStream(far, protocol.RoleServer, nil)
		t.Cleanup(func() { client.CloseNow(); server.CloseNow() })
		go echoNoAlloc(server)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := Message{Binary, make([]byte, size)}
		buf := make([]byte, 0, size+1)
		n := allocs.PerRun(50, func() {
			wrote := client.Write(ctx, m)
			got, err := readAppend(ctx, client, buf)
			if wrote != nil || err != nil || len(got.Data) != size {
				t.Fatalf("%v, %v, %d bytes", wrote, err, len(got.Data))
			}
		})
		if n > bare {
			t.Errorf("%d bytes: %v allocations per message, want at most the %v of crypto/tls", size, n, bare)
		}
	}
}

// TestNoAllocationPerEventOverTLS allows as many allocations as crypto/tls makes for the same bytes and for one more read without
// data.
func TestNoAllocationPerEventOverTLS(t *testing.T) {
	ls := NewEventLoops(t)
	if ls == nil {
		return // a Conn serves TLS if there is no event loop
	}
	for _, size := range []int{128, 8 << 10} {
		bare := allocs.PerRun(50, bareTLSEcho(t, size))
		client, server := closeTestTLS(t)
		t.Cleanup(func() { client.NetConn().Close() })
		if err := ls.Adopt(server, nil, openEcho); err != nil {
			t.Fatal(err)
		}
		f := raw{t, client, protocol.RoleClient}.frame(frame.Binary, true, string(make([]byte, size)))
		answer := make([]byte, len(f)-4) // without a masking key
		n := allocs.PerRun(50, func() {
			_, wrote := client.Write(f)
			if _, err := io.ReadFull(client, answer); wrote != nil || err != nil {
				t.Fatal(wrote, err)
			}
		})
		if n > bare+1 {
			t.Errorf("%d bytes: %v allocations per message, want at most the %v of crypto/tls and one more", size, n, bare)
		}
	}
}

// bareTLSEcho returns a function that sends size bytes over TLS without WebSocket, and reads the echo.
func bareTLSEcho(t *testing.T, size int) func() {
	near, far := tlsPair(t)
	t.Cleanup(func() { near.Close(); far.NetConn().Close() })
	go func() {
		b := make([]byte, size)
		for {
			if _, err := io.ReadFull(far, b); err != nil {
				return
			}
			if _, err := far.Write(b); err != nil {
				return
			}
		}
	}()
	b := make([]byte, size)
	return func() {
		if _, err := near.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(near, b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoAllocationForFragments(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var message []byte
	for i := range 16 {
		op := frame.Continuation
		if i == 0 {
			op = frame.Text
		}
		message = append(message, peer.frame(op, i == 15, "a fragment")...)
	}
	buf := make([]byte, 0, 1024)
	n := allocs.PerRun(50, func() {
		peer.send(message)
		if m, err := readAppend(ctx, c, buf); err != nil || len(m.Data) != 160 {
			t.Fatalf("%d bytes, %v", len(m.Data), err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations per message", n)
	}
}

// TestNoAllocationPerView reads messages that fit into the read buffer, and larger ones.
func TestNoAllocationPerView(t *testing.T) {
	for _, size := range []int{0, 128, 16 << 10, 200 << 10, 1 << 20} {
		a, b := tcpConns(t, nil)
		go viewing(b)
		m, buf := Message{Binary, make([]byte, size)}, make([]byte, 0, size+1)
		ctx := bounded.Context(t)
		n := allocs.PerRun(50, func() {
			wrote := a.Write(ctx, m)
			got, err := readAppend(ctx, a, buf)
			if wrote != nil || err != nil || len(got.Data) != size {
				t.Fatalf("%v, %v, %d bytes", wrote, err, len(got.Data))
			}
		})
		if n > 0 {
			t.Errorf("%d bytes: %v allocations per message", size, n)
		}
	}
}
