//go:build linux

package reactor

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// Handlers that block, write to each other and close at random, under the race detector: every connection that opened is
// closed once, and no two handlers of one run at once.
func TestChaos(t *testing.T) {
	var opened, closed, torn atomic.Int64
	var mu sync.Mutex
	all := map[*Conn]*atomic.Int32{}
	enter := func(c *Conn) func() {
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
	s := &Server{Loops: 2, Options: queueOf(64 << 10)}
	s.Handler = Handler{
		Open:  func(c *Conn) { defer enter(c)(); opened.Add(1) },
		Close: func(c *Conn, _ error) { defer enter(c)(); closed.Add(1) },
		Message: func(c *Conn, m websocket.Message) {
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
					c.Shut(websocket.CodeNormal, "")
				}
			}
			mu.Lock()
			var others []*Conn
			for o := range all {
				if others = append(others, o); len(others) == 3 {
					break
				}
			}
			mu.Unlock()
			for _, o := range append(others, c) {
				if err := o.Send(m); err != nil && websocket.CloseCode(err) == 0 && !errors.Is(err, websocket.ErrQueueFull) {
					t.Errorf("Write: %v", err)
				}
			}
		},
	}
	addr := serve(t, s)
	var clients sync.WaitGroup
	for range 30 {
		c := dial(t, addr, nil)
		ctx := bounded(t)
		clients.Go(func() {
			for range c.Messages(ctx) { // until it ends
			}
		})
		clients.Go(func() {
			for i := range 200 {
				data := make([]byte, rand.IntN(1<<rand.IntN(14)))
				if c.Write(ctx, websocket.Message{Type: websocket.Binary, Data: data}) != nil {
					return
				}
				if i%50 == 49 {
					runtime.Gosched()
				}
			}
			c.Close(websocket.CodeNormal, "")
		})
	}
	clients.Wait()
	s.Shutdown(bounded(t))
	if opened.Load() != 30 || closed.Load() != 30 || torn.Load() != 0 {
		t.Errorf("%d opened, %d closed, %d calls at once", opened.Load(), closed.Load(), torn.Load())
	}
}
