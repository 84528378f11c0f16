package pusher

import (
	"testing"
	"testing/synctest"
	"time"
)

// Calls for one key are a second apart, early calls with again == false are dropped, and keys are independent.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var throttled throttle
		began := time.Now()
		var got []string
		call := func(key string, again bool) {
			throttled.schedule(key, again, func() { got = append(got, key+time.Since(began).String()) })
			synctest.Wait()
		}
		for range 3 {
			call("a", true)
			call("b", false)
		}
		time.Sleep(3 * throttleTime / 2) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		call("a", false)                 // dropped: within a second of the previous call
		call("b", false)
		time.Sleep(3 * throttleTime) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		want := []string{"a0s", "b0s", "a1s", "b1.5s"}
		if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] || !throttled.idle() {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
