//go:build !race

// The race detector makes sync.Pool drop what it holds, and so allocations: this file is for a run without it.

package websocket

import (
	"context"
	"fmt"
	"testing"
)

// TestNoAllocationPerMessage: reading and writing a message into the caller's buffer, with a cancellable context.
func TestNoAllocationPerMessage(t *testing.T) {
	for _, size := range []int{0, 16, 128, 1 << 10, 16 << 10, 64 << 10, 1 << 20} {
		for _, role := range []Role{Client, Server} {
			t.Run(fmt.Sprintf("%d/%v", size, role), func(t *testing.T) {
				a, b := tcpConns(t, nil)
				if role == Server {
					a, b = b, a
				}
				go mirror(b)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := Message{Binary, make([]byte, size)}
				buf := make([]byte, 0, size+1)
				n := testing.AllocsPerRun(50, func() {
					wrote := a.Write(ctx, m)
					got, err := a.ReadAppend(ctx, buf)
					if wrote != nil || err != nil || len(got.Data) != size {
						t.Fatalf("%v, %v, %d bytes", wrote, err, len(got.Data))
					}
				})
				if n > 0 {
					t.Errorf("%v allocations a message", n)
				}
			})
		}
	}
}
