package websocket

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/handfast/handfast/websocket/protocol"
)

// echoNoAlloc is an echo without allocations, because AllocsPerRun counts the allocations of all goroutines.
func echoNoAlloc(c *Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	buf := make([]byte, 0, 1<<20+1)
	for {
		m, err := readAppend(ctx, c, buf)
		if err != nil || c.Write(ctx, m) != nil {
			return
		}
	}
}

func benchmarkPair(b *testing.B, size int) (client, server *Conn, m Message) {
	client, server = tcpConns(b, &ConnOptions{MaxMessage: -1})
	b.SetBytes(int64(size))
	b.ReportAllocs()
	return client, server, Message{Binary, make([]byte, size)}
}

var benchSizes = []int{16, 128, 1 << 10, 16 << 10, 256 << 10}

func BenchmarkEcho(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			client, server, m := benchmarkPair(b, size)
			go echoNoAlloc(server)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			buf := make([]byte, 0, size+1)
			for b.Loop() {
				if err := client.Write(ctx, m); err != nil {
					b.Fatal(err)
				}
				if _, err := readAppend(ctx, client, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			client, server, m := benchmarkPair(b, size)
			go func() {
				for client.Write(context.Background(), m) == nil {
				}
			}()
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			buf := make([]byte, 0, size+1)
			for b.Loop() {
				if _, err := readAppend(ctx, server, buf); err != nil {
					b.Fatal(err)
				}
			}
			client.CloseNow()
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%v/%d", role, size), func(b *testing.B) {
				near, far := tcpPair(b)
				defer far.Close()
				go io.Copy(io.Discard, far)
				c := overStream(near, role, nil)
				defer c.CloseNow()
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				m := Message{Binary, make([]byte, size)}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := c.Write(ctx, m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
