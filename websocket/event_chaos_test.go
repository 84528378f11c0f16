//go:build linux

package websocket

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Handlers block, write to each other and close connections at random, under the race detector. Closed must be called once for
// every opened connection, and the handlers of one connection must never run concurrently.
func TestEventChaos(t *testing.T) {
	var opened, closed, torn atomic.Int64
	var mu sync.Mutex
	all := map[*eventConn]*atomic.Int32{}
	enter := func(c *eventConn) func() {
		mu.Lock()
		n := all[c]
		if n == nil {
			n = new(atomic.Int32)
			all[c] = n
		}
		mu.Unlock()
		if n.Add(1) != 1 {
			torn.Add(1)
		}
		return func() { n.Add(-1) }
	}
	s := &evServer{Loops: 2, Options: evQueueOf(64 << 10)}
	s.Handler = evHandler{
		Open:  func(c *eventConn) { defer enter(c)(); opened.Add(1) },
		Close: func(c *eventConn, _ error) { defer enter(c)(); closed.Add(1) },
		Message: func(c *eventConn, m Message) {
			defer enter(c)()
			switch rand.IntN(20) {
			case 0:
				c.Block()
				for range rand.IntN(100) {
					runtime.Gosched()
				}
			case 1:
				if rand.IntN(20) == 0 {
					c.CloseNow()
				}
			case 2:
				if rand.IntN(20) == 0 {
					c.Shut(CodeNormal, "")
				}
			}
			mu.Lock()
			var others []*eventConn
			for o := range all {
				if others = append(others, o); len(others) == 3 {
					break
				}
			}
			mu.Unlock()
			for _, o := range append(others, c) {
				if err := o.Send(m); err != nil && CloseCode(err) == 0 && !errors.Is(err, ErrQueueFull) {
					t.Errorf("Send: %v", err)
				}
			}
		},
	}
	addr := evServe(t, s)
	var clients sync.WaitGroup
	for range 30 {
		c := evDial(t, addr, nil)
		ctx := evBounded(t)
		clients.Go(func() {
			for range c.Messages(ctx) { // reads until the connection ends
			}
		})
		clients.Go(func() {
			for i := range 200 {
				data := make([]byte, rand.IntN(1<<rand.IntN(14)))
				if c.Write(ctx, Message{Type: Binary, Data: data}) != nil {
					return
				}
				if i%50 == 49 {
					runtime.Gosched()
				}
			}
			c.Close(CodeNormal, "")
		})
	}
	clients.Wait()
	s.Shutdown(evBounded(t))
	if opened.Load() != 30 || closed.Load() != 30 || torn.Load() != 0 {
		t.Errorf("%d opened, %d closed, %d concurrent calls", opened.Load(), closed.Load(), torn.Load())
	}
}
