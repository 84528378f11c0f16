package bounded

import (
	"sync/atomic"
	"testing"
	"time"
)

// step is the interval of the clock.
const step = 50 * time.Millisecond

// Clock returns a clock that starts at 0 and stops with the test. It measures the time during which this process was running: a
// pause of the process on a busy machine counts as one step. Tests use it to check that something happens within seconds.
func Clock(t testing.TB) (ran func() time.Duration) {
	t.Helper()
	var steps atomic.Int64
	tick, over, ended := time.NewTicker(step), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-tick.C: // a ticker drops missed ticks
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
