//go:build linux

package websocket

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

func TestEventEchoOfAllSizes(t *testing.T) {
	addr := evServe(t, &evServer{Handler: evEcho, Options: AcceptOptions{Conn: ConnOptions{MaxMessage: 1 << 25}}})
	c := evDial(t, addr, &DialOptions{Conn: ConnOptions{MaxMessage: 1 << 25}})
	ctx := evBounded(t)
	for _, n := range []int{0, 1, 125, 126, 127, 128, 4 << 10, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64<<10 - 8, 64 << 10, 64<<10 + 1, 1<<20 + 3, 16 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			want := bytes.Repeat([]byte("0123456789abcdef-"), n/17+1)[:n]
			done := make(chan error, 1)
			go func() { done <- c.Write(ctx, Message{Type: Binary, Data: want}) }()
			got, err := c.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Data, want) || got.Type != Binary {
				t.Errorf("got %d bytes, want %d", len(got.Data), len(want))
			}
			if err := bounded.Receive(t, done); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := c.Close(CodeNormal, "done"); err != nil {
		t.Errorf("Close: %v", err)
	}
}
