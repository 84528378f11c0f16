package websocket

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/websocket/protocol"
)

// A Write that is interrupted while it is queued behind another leaves no trace: the memory for waiting frames is released.
func TestWriteThatLeavesHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := overStream(near, protocol.RoleServer, nil)
		defer c.CloseNow()
		first := make(chan error, 1)
		go func() { first <- c.Write(t.Context(), Message{Text, []byte("first")}) }() // no goroutine is reading
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan error, 1)
		go func() { second <- c.Write(ctx, Message{Text, []byte("second")}) }()
		synctest.Wait()
		c.mu.Lock()
		waiting := len(c.outbox.pending.queue)
		c.mu.Unlock()
		if waiting != 1 {
			t.Fatalf("%d frames wait", waiting)
		}
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		c.mu.Lock()
		if len(c.outbox.pending.queue) != 0 || c.outbox.pending.entries != nil || c.outbox.pending.queued != 0 {
			t.Errorf("%d frames wait, %d bytes; their memory is held: %v", len(c.outbox.pending.queue), c.outbox.pending.queued, c.outbox.pending.entries != nil)
		}
		c.mu.Unlock()
		c.CloseNow()
		<-first
	})
}
