package proxy

import (
	"context"
	"sync"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

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
