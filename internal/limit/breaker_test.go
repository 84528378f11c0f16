package limit

import (
	"testing"
	"testing/synctest"
	"time"
)

// After a pause one call finds out how the service is, and what began before the pause says nothing.
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
			t.Error("two probes at once")
		}
		late(false) // began before the pause: says nothing about now
		probe(true)
		if _, wait := b.Begin(); wait != 0 {
			t.Error("closed after a probe that went well")
		}
	})
}
