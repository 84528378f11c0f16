package proxy

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// answers is a driver that has a refusal come at the moment at which the client goes.
type answers struct {
	*looped
	o    *dialing
	conn net.Conn
}

func (a *answers) nudge() {
	a.o.conn = a.conn
	close(a.o.done)
}

// A connection that has left the loop for the body of a refusal is the caller's to close, also when the client goes at that moment.
func TestRefusalWhileClientGoes(t *testing.T) {
	_, near := tcpPair(t)
	defer near.Close()
	l := newLooped()
	o := &dialing{l: l, done: make(chan struct{})}
	l.driver = &answers{l, o, near}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if o.wait(ctx) {
		t.Error("the connection is said to be closed")
	}
}

// waitedFor is a context that notes whether something has waited for it.
type waitedFor struct {
	context.Context
	once sync.Once
	done bool
}

func (w *waitedFor) Done() <-chan struct{} {
	w.once.Do(func() { w.done = true })
	return w.Context.Done()
}

// A client whose server answers soon is not watched, which would cost as much as the request.
func TestClientIsNotWatchedForAQuickAnswer(t *testing.T) {
	up := serveRaw(t, listen(t), accepts)
	b := newBalancer(t, Settings{}, up.addr)
	if b.carrier.loops == nil {
		t.Skip("there is no event loop here")
	}
	for range 1000 { // on a busy machine the answer may come too late
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
	t.Error("the client has been watched each time")
}
