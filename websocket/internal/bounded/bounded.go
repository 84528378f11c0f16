// Package bounded provides waits with a time limit for the library's tests. Each function fails the test if the expected event does not
// happen. The context of a test is not suitable, because it is only canceled after the test's function has returned.
package bounded

import (
	"context"
	"testing"
	"time"
)

// defaultTimeout is the time limit for an expected event. A passing test never waits that long.
const defaultTimeout = 2 * time.Minute

// timeout returns the time limit of a wait. In a bubble of testing/synctest the limit is longer, because minutes and hours of fake time
// pass while a test waits.
func timeout() time.Duration {
	if time.Now().Year() == 2000 { // the start of the fake clock in a bubble
		return 100 * time.Hour
	}
	return defaultTimeout
}

// Context returns a context that is canceled when the test ends, or after two minutes. It can also be used in a function passed to
// t.Cleanup, where the test's own context is already canceled.
func Context(t testing.TB) context.Context {
	parent := t.Context()
	if parent.Err() != nil {
		parent = context.WithoutCancel(parent)
	}
	ctx, cancel := context.WithTimeout(parent, timeout())
	t.Cleanup(cancel)
	return ctx
}

// Receive receives a value from ch. A closed channel yields the zero value.
func Receive[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	timer := time.NewTimer(timeout())
	defer timer.Stop()
	select {
	case v = <-ch:
	case <-timer.C:
		t.Fatal("nothing arrived in time")
	}
	return v
}

// Until waits until condition returns true. It polls every millisecond.
func Until(t testing.TB, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(defaultTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not become true in time")
		}
		<-tick.C
	}
}
