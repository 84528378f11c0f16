package limit

import (
	"testing"
	"testing/synctest"
	"time"
)

// After a pause a single call determines the state of the service, and calls from before the pause do not count.
func TestBreakerProbesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(1, time.Second)
		late, _ := b.Begin()
		done, _ := b.Begin()
		done(false)
		<-time.After(time.Second)
		probe, wait := b.Begin()
		if wait != 0 {
			t.Fatal("no probe after the pause")
		}
		if _, wait := b.Begin(); wait == 0 {
			t.Error("two concurrent probes")
		}
		late(false) // began before the pause, so it does not show the present state
		probe(true)
		if _, wait := b.Begin(); wait != 0 {
			t.Error("no calls are allowed after a successful probe")
		}
	})
}

// The breaker pauses after the given number of consecutive failures, not earlier, and each time for the same duration.
func TestBreakerPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(3, time.Minute)
		call := func(alive bool) {
			t.Helper()
			done, wait := b.Begin()
			if wait != 0 {
				t.Fatalf("no call for %v", wait)
			}
			done(alive)
		}
		call(false)
		call(false)
		call(true) // after a success, failures are not consecutive
		for range 3 {
			call(false)
		}
		for range 2 { // the second pause begins because the probe fails
			if _, wait := b.Begin(); wait != time.Minute {
				t.Errorf("a pause of %v", wait)
			}
			<-time.After(time.Minute - 1)
			if _, wait := b.Begin(); wait != 1 {
				t.Errorf("%v are left of the pause, want a nanosecond", wait)
			}
			<-time.After(1)
			call(false)
		}
		<-time.After(time.Minute)
		probe, _ := b.Begin()
		if _, wait := b.Begin(); wait != time.Second {
			t.Errorf("%v during a probe", wait)
		}
		probe(true)
		call(false)
		call(false)
		call(false)
		if _, wait := b.Begin(); wait != time.Minute {
			t.Errorf("a pause of %v", wait)
		}
	})
}

// Calls from before the pause neither prolong nor end the pause.
func TestBreakerLateCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(1, time.Minute)
		var late []func(bool)
		for range 3 {
			done, _ := b.Begin()
			late = append(late, done)
		}
		late[0](false)
		<-time.After(20 * time.Second)
		late[1](false)
		late[2](true)
		if _, wait := b.Begin(); wait != 40*time.Second {
			t.Errorf("%v are left, want 40s", wait)
		}
	})
}
