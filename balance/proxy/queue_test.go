package proxy

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Waiting callers get their turn in order; one that gives up passes its turn on.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		turns := make(chan int, 10)
		errs := make([]error, 4)
		enter := func(i int, ctx context.Context, d time.Duration) {
			go func() {
				errs[i] = q.wait(ctx, 3, d)
				turns <- i
			}()
			synctest.Wait()
		}
		gone, leave := context.WithCancelCause(t.Context())
		enter(0, t.Context(), time.Minute)
		enter(1, gone, time.Minute)
		enter(2, t.Context(), time.Second)
		enter(3, t.Context(), time.Minute)
		if i := <-turns; i != 3 || !errors.Is(errs[3], errQueue) || q.len() != 3 {
			t.Errorf("caller beyond the limit: got %d, %v, want 3, errQueue", i, errs[3])
		}
		left := errors.New("left")
		leave(left)
		if i := <-turns; i != 1 || !errors.Is(errs[1], left) {
			t.Errorf("caller that leaves: got %d, %v, want 1, %v", i, errs[1], left)
		}
		if i := <-turns; i != 2 || !errors.Is(errs[2], errQueue) {
			t.Errorf("caller whose time is over: got %d, %v, want 2, errQueue", i, errs[2])
		}
		q.next()
		if i := <-turns; i != 0 || errs[0] != nil || q.len() != 0 {
			t.Errorf("first caller: got %d, %v, want its turn", i, errs[0])
		}
		q.next() // no caller is waiting
		enter(0, t.Context(), time.Minute)
		q.close()
		<-turns
		if errs[0] != nil || !errors.Is(q.wait(t.Context(), 3, time.Minute), ErrClosed) {
			t.Errorf("closed queue: got %v for the waiting caller, want nil, and ErrClosed for others", errs[0])
		}
	})
}

// A turn of a caller that has just given up passes to the next.
func TestQueuePassesTurn(t *testing.T) {
	var q queue
	first, second := make(chan struct{}), make(chan struct{})
	q.waiting = []chan struct{}{first, second}
	q.next()
	q.leave(first)
	select {
	case <-second:
	default:
		t.Error("the second caller did not get the turn of the first")
	}
}
