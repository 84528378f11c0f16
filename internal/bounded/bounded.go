// Package bounded provides waits with a time limit for the tests outside the library. Each wait fails the test if the expected
// event does not happen. The context of a test cannot limit a wait, because it is canceled only after the test function has
// returned.
package bounded

import (
	"context"
	"testing"
	"time"
)

// testTimeout is the time limit for an expected event. A passing test never waits that long.
const testTimeout = 2 * time.Minute

// timeout returns the time limit for a wait. In a bubble of testing/synctest, where minutes and hours of fake time pass while a
// test waits, the limit is 100 hours of fake time, which take no real time.
func timeout() time.Duration {
	if time.Now().Year() == 2000 { // the start of the fake clock in a bubble
		return 100 * time.Hour
	}
	return testTimeout
}

// Context returns a context that is canceled at the end of the test, or after two minutes (in a bubble of testing/synctest,
// after 100 hours of fake time). It can also be used in a function passed to t.Cleanup, where the test's own context is
// already canceled.
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
	late := time.NewTimer(timeout())
	defer late.Stop()
	select {
	case v = <-ch:
	case <-late.C:
		t.Fatal("nothing arrived in time")
	}
	return v
}

// Until waits until so returns true. It polls every millisecond.
func Until(t testing.TB, so func() bool) {
	t.Helper()
	late := time.Now().Add(testTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		if time.Now().After(late) {
			t.Fatal("the condition did not become true in time")
		}
		<-tick.C
	}
}
