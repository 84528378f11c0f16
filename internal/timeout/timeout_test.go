package timeout

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

func TestMain(m *testing.M) { os.Exit(bounded.Main(m)) }

type key struct{}

// done reports whether c is done.
func done(c context.Context) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// A context ends like one of context.WithTimeout, whether or not a goroutine has waited for it before.
func TestContextEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait time.Duration
		end  func(cancel, parent context.CancelFunc)
		want error
	}{
		{"not", 0, func(_, _ context.CancelFunc) {}, nil},
		{"almost", time.Second - 1, func(_, _ context.CancelFunc) {}, nil},
		{"late", time.Second, func(_, _ context.CancelFunc) {}, context.DeadlineExceeded},
		{"canceled", 0, func(cancel, _ context.CancelFunc) { cancel() }, context.Canceled},
		{"the parent", 0, func(_, parent context.CancelFunc) { parent() }, context.Canceled},
	} {
		for _, waited := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, end := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
				defer end()
				c, cancel := Context(parent, time.Second)
				defer cancel()
				if waited && done(c) {
					t.Errorf("%s: a new context is done", tt.name)
				}
				time.Sleep(tt.wait) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
				tt.end(cancel, end)
				synctest.Wait()
				if err := c.Err(); !errors.Is(err, tt.want) || err == nil && tt.want != nil {
					t.Errorf("%s, waited %v: %v", tt.name, waited, err)
				}
				if done(c) != (tt.want != nil) {
					t.Errorf("%s, waited %v: done is %v", tt.name, waited, !done(c))
				}
				if err := c.Err(); !errors.Is(err, tt.want) || err == nil && tt.want != nil {
					t.Errorf("%s, waited %v: then %v", tt.name, waited, err)
				}
				if c.Value(key{}) != 7 {
					t.Errorf("%s: the parent's values are missing", tt.name)
				}
			})
		}
	}
}

func TestContextHasTheEarlierDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for d, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: time.Minute} {
			parent, end := context.WithTimeout(t.Context(), time.Minute)
			c, cancel := Context(parent, d)
			if at, ok := c.Deadline(); !ok || time.Until(at) != want {
				t.Errorf("%v: the deadline is in %v", d, time.Until(at))
			}
			cancel()
			end()
		}
	})
}

// unwatched is a context that fails the test if a goroutine waits for it.
type unwatched struct {
	context.Context
	t *testing.T
}

func (u unwatched) Done() <-chan struct{} {
	u.t.Error("a goroutine waits for the parent")
	return u.Context.Done()
}

// A context that no goroutine waits for consists of two objects, starts no timer, and does not wait for its parent.
func TestContextIsCheap(t *testing.T) {
	var parent context.Context = unwatched{t.Context(), t}
	use := func() {
		c, cancel := Context(parent, time.Hour)
		if c.Err() != nil {
			t.Error("the context is done")
		}
		cancel()
		if c.Err() == nil {
			t.Error("the context is not done")
		}
	}
	if got := testing.AllocsPerRun(100, use); got > 2 {
		t.Errorf("%v objects", got)
	}
}

// A child context is canceled with its parent, without a goroutine.
func TestContextBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cancel := Context(t.Context(), time.Second)
		below, end := context.WithCancel(c)
		defer end()
		cancel()
		if below.Err() == nil {
			t.Error("the child is not done when cancel returns")
		}
	})
}

// The error and the cause of an ended context are the same as with context.WithTimeout, whether or not a goroutine has waited for
// it, and do not change later.
func TestContextHasACause(t *testing.T) {
	gone := errors.New("gone")
	for name, end := range map[string]func(cancel context.CancelFunc, parent context.CancelCauseFunc){
		"deadline": nil,
		"cancel":   func(cancel context.CancelFunc, _ context.CancelCauseFunc) { cancel() },
		"parent":   func(_ context.CancelFunc, parent context.CancelCauseFunc) { parent(gone) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ends := func(make func(context.Context, time.Duration) (context.Context, context.CancelFunc)) (c context.Context, cancel context.CancelFunc) {
					parent, cancelParent := context.WithCancelCause(t.Context())
					t.Cleanup(func() { cancelParent(nil) })
					c, cancel = make(parent, time.Second)
					if end != nil {
						end(cancel, cancelParent)
					} else {
						time.Sleep(time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
					}
					return c, cancel
				}
				want, cancelWant := ends(context.WithTimeout)
				defer cancelWant()
				for _, cause := range []bool{true, false} {
					got, cancel := ends(Context)
					for range 2 {
						if err := got.Err(); err != want.Err() {
							t.Errorf("the error is %v, want %v", err, want.Err())
						}
						if err := context.Cause(got); cause && err != context.Cause(want) {
							t.Errorf("the cause is %v, want %v", err, context.Cause(want))
						}
						cancel()
						time.Sleep(2 * time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
					}
					if !done(got) || got.Err() != want.Err() {
						t.Errorf("after a wait the error is %v, want %v", got.Err(), want.Err())
					}
				}
			})
		})
	}
}
