package websocket

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// TestWritesTakenInPart checks that if a socket accepts a part of a small message, the rest is sent in order when there is room.
func TestWritesTakenInPart(t *testing.T) {
	c, peer := rawTCP(t, protocol.RoleServer, nil)
	if err := c.stream.Below().(*net.TCPConn).SetWriteBuffer(8 << 10); err != nil {
		t.Fatal(err)
	}
	text := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 10<<10+i) }
	const n = 400
	wrote := make(chan error, 1)
	go func() {
		for i := range n {
			m := Message{Text, []byte(text(i))}
			err := c.Write(bounded.Context(t), m)
			if i%3 == 0 && err == nil {
				err = c.Send(m)
			}
			if err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	for i := range n {
		peer.expect(frame.Text, text(i))
		if i%3 == 0 {
			peer.expect(frame.Text, text(i))
		}
	}
	if err := bounded.Receive(t, wrote); err != nil {
		t.Error(err)
	}
}

// TestWriteInterruptedInPart ends the context when half a frame has been sent. The connection must be closed, and Write must return
// the error.
func TestWriteInterruptedInPart(t *testing.T) {
	c, _ := rawTCP(t, protocol.RoleServer, nil)
	for c.ended() == nil { // a write that is interrupted before its first byte has no effect on the connection
		ctx, cancel := context.WithCancel(t.Context())
		cut := make(chan error, 1)
		go func() {
			for {
				if err := c.Write(ctx, Message{Binary, make([]byte, 15<<10)}); err != nil {
					cut <- err
					return
				}
			}
		}()
		bounded.Until(t, c.blockedInWrite)
		cancel()
		if err := bounded.Receive(t, cut); !errors.Is(err, context.Canceled) {
			t.Fatalf("Write: %v", err)
		}
	}
	if err := c.Write(bounded.Context(t), Message{Binary, nil}); CloseCode(err) != CodeAbnormal {
		t.Errorf("the next Write: %v", err)
	}
}

// blockedInWrite reports whether a write waits for the peer.
func (c *Conn) blockedInWrite() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outbox.writing
}
