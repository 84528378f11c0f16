package bounded

import (
	"sync/atomic"
	"testing"
	"time"
)

// step is what a clock counts at a time.
const step = 50 * time.Millisecond

// Clock returns a clock that begins at 0 and ends with the test. It counts the time in which this process had its turns: of a
// pause in which it did not run, on a machine that is busy, it counts one step. A promise that something happens within seconds
// is held against it.
func Clock(t testing.TB) (ran func() time.Duration) {
	t.Helper()
	var steps atomic.Int64
	tick, over, ended := time.NewTicker(step), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-tick.C: // a ticker drops the ticks that were missed
				steps.Add(1)
			case <-over:
				return
			}
		}
	}()
	t.Cleanup(func() {
		tick.Stop()
		close(over)
		<-ended
	})
	return func() time.Duration { return time.Duration(steps.Load()) * step }
}
