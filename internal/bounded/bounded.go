// Package bounded holds the waits of the tests outside the library: each of them fails the test when what it waits for does not
// happen. The context of a test does not do that: it is done only after the test's function has returned.
package bounded

import (
	"context"
	"testing"
	"time"
)

// soon is how long something may take that is expected to happen. Nothing waits for it when all is well.
const soon = 2 * time.Minute

// patience returns the bound of a wait. In a bubble of testing/synctest, where minutes and hours pass while a test waits for
// its turn, it is long, and takes no time.
func patience() time.Duration {
	if time.Now().Year() == 2000 { // when the clock of a bubble starts
		return 100 * time.Hour
	}
	return soon
}

// Context returns a context that ends with the test, or two minutes from now. It can be used in a function given to
// t.Cleanup, too, where the test's own context is done.
func Context(t testing.TB) context.Context {
	parent := t.Context()
	if parent.Err() != nil {
		parent = context.WithoutCancel(parent)
	}
	ctx, cancel := context.WithTimeout(parent, patience())
	t.Cleanup(cancel)
	return ctx
}

// Receive receives a value from ch. A closed channel yields the zero value.
func Receive[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	late := time.NewTimer(patience())
	defer late.Stop()
	select {
	case v = <-ch:
	case <-late.C:
		t.Fatal("nothing arrived in time")
	}
	return v
}

// Until waits until so returns true. It asks every millisecond.
func Until(t testing.TB, so func() bool) {
	t.Helper()
	late := time.Now().Add(soon)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		if time.Now().After(late) {
			t.Fatal("the condition did not become true in time")
		}
		<-tick.C
	}
}
