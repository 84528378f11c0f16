package proxy

import (
	"context"
	"sync"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/loop"
)

// waitedFor is a context that records whether its Done was called.
type waitedFor struct {
	context.Context
	once sync.Once
	done bool
}

func (w *waitedFor) Done() <-chan struct{} {
	w.once.Do(func() { w.done = true })
	return w.Context.Done()
}

// A client whose server responds soon is not watched, because that would cost as much as the request.
func TestQuickResponseWithoutWatch(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	b := newBalancer(t, Settings{}, up.addr)
	for range 1000 { // on a busy machine the response may come too late
		ctx := &waitedFor{Context: bounded.Context(t)}
		c, err := b.Open(ctx, opening(t))
		if err != nil {
			t.Fatal(err)
		}
		c.Abandon()
		if _, limited := ctx.Deadline(); !limited {
			t.Fatal("the context has no deadline")
		}
		if !ctx.done {
			return
		}
	}
	t.Error("the client's context was watched in each of 1000 handshakes")
}

// A disconnect of the server between its response and the beginning of the tunnel is recorded: otherwise the kernel would report
// the disconnect repeatedly.
func TestHangupBeforeTunnel(t *testing.T) {
	c := NewCarrier()
	defer c.Close()
	d, err := NewDialer(serveRaw(t, listen(t), accepts+"HOLD").addr, DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.open(bounded.Context(t), d, parseRequest(t, plain+"\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := link.dialed
	if o == nil {
		t.Fatal("the handshake was not on the loop")
	}
	defer o.l.CloseNow() //nolint:errcheck // CloseNow always returns nil
	o.l.mu.Lock()
	defer o.l.mu.Unlock()
	e := &o.l.ends[upstream]
	for why, hung := range map[loop.Events]bool{loop.Readable: false, loop.Hangup: true, loop.Readable | loop.Hangup: true} {
		e.hungUp = false
		if o.serve(e, nil, why); e.hungUp != hung {
			t.Errorf("events %b: got hung %t, want %t", why, e.hungUp, hung)
		}
	}
}
