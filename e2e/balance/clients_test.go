//go:build e2e

package balance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// crowd is clients of an echo that send numbered messages, one after the other, and come back when they are closed.
type crowd struct {
	url string
	t   *testing.T

	echoed   atomic.Int64 // messages that came back
	wrong    atomic.Int64 // that came back with another number
	open     atomic.Int64 // clients that are connected
	failures atomic.Int64 // handshakes

	mu     sync.Mutex
	closes map[string]int // by code and whether there was a closing handshake
	why    error          // of a handshake that has failed

	stop context.CancelFunc
	all  sync.WaitGroup
}

// gather starts n clients, and waits until all of them are connected. They pause between two messages.
func gather(t *testing.T, url string, n int, pause time.Duration) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{url: url, t: t, closes: map[string]int{}, stop: stop}
	t.Cleanup(c.leave)
	for i := range n {
		c.all.Go(func() { c.client(ctx, i, pause) })
	}
	bounded.Until(t, func() bool { return int(c.open.Load()) == n })
	return c
}

// leave ends all clients.
func (c *crowd) leave() {
	c.stop()
	c.all.Wait()
}

// client is one of them, until the crowd leaves.
func (c *crowd) client(ctx context.Context, n int, pause time.Duration) {
	next := 0
	for ctx.Err() == nil {
		conn, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{HandshakeTimeout: time.Minute})
		if err != nil {
			if ctx.Err() == nil {
				c.failures.Add(1)
				c.mu.Lock()
				c.why = err
				c.mu.Unlock()
				wait(ctx, 50*time.Millisecond)
			}
			continue
		}
		c.open.Add(1)
		err = c.talk(ctx, conn, n, &next, pause)
		c.open.Add(-1)
		conn.CloseNow()
		if e, ok := errors.AsType[*websocket.CloseError](err); ok && ctx.Err() == nil {
			how := strconv.Itoa(int(e.Code))
			if e.Err != nil {
				how += " unclean"
			}
			c.mu.Lock()
			c.closes[how]++
			c.mu.Unlock()
		}
	}
}

// talk sends and receives until the connection ends. The message that was under way is sent again on the next one.
func (c *crowd) talk(ctx context.Context, conn *websocket.Conn, n int, next *int, pause time.Duration) error {
	for {
		text := fmt.Sprintf("%d %d %s", n, *next, strings.Repeat("x", 100))
		if err := conn.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte(text)}); err != nil {
			return err
		}
		m, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if string(m.Data) != text {
			c.wrong.Add(1)
		}
		c.echoed.Add(1)
		*next++
		if !wait(ctx, pause) {
			return ctx.Err()
		}
	}
}

// wait pauses a client, which is what clients do; it returns false when they are to leave.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// goesOn waits until every client has had an answer since, on average.
func (c *crowd) goesOn(n int) {
	c.t.Helper()
	was := c.echoed.Load()
	bounded.Until(c.t, func() bool { return int(c.open.Load()) == n && c.echoed.Load() >= was+int64(n) })
}

// expect checks how connections have ended since the last call, and that no handshake failed and no message was wrong.
func (c *crowd) expect(want string, atLeast, atMost int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for how, n := range c.closes {
		total += n
		if how != want {
			c.t.Errorf("%d connections ended with %s", n, how)
		}
	}
	if total < atLeast || total > atMost {
		c.t.Errorf("%d connections ended, %d to %d expected: %v", total, atLeast, atMost, c.closes)
	}
	if n := c.failures.Swap(0); n > 0 {
		c.t.Errorf("%d handshakes failed: %v", n, c.why)
	}
	if n := c.wrong.Load(); n > 0 {
		c.t.Errorf("%d messages came back wrong", n)
	}
	c.closes = map[string]int{}
}
