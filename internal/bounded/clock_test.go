package bounded_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := bounded.Clock(t)
		<-time.After(10*time.Second + time.Millisecond)
		if got := ran(); got != 10*time.Second {
			t.Errorf("the clock shows %v after ten seconds", got)
		}
	})
}
