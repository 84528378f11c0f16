package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
)

// Each ended connection is reported once, even if more connections end than there are idle goroutines, and also after close. No goroutine
// is left afterwards.
func TestEnders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, told := newEnders(), make(chan error, 4*maxEnders)
		hold := make(chan struct{})
		want := errors.New("the end")
		for range 2 * maxEnders {
			e.end(func(err error) { <-hold; told <- err }, want)
		}
		close(hold)
		synctest.Wait()
		if len(told) != 2*maxEnders || len(e.idle) != maxEnders {
			t.Errorf("%d ends reported, %d goroutines wait", len(told), len(e.idle))
		}
		e.end(func(err error) { told <- err }, want)
		synctest.Wait()
		if len(told) != 2*maxEnders+1 || len(e.idle) != maxEnders {
			t.Errorf("%d ends reported, %d goroutines wait after another end", len(told), len(e.idle))
		}
		e.close()
		e.close()
		e.end(func(err error) { told <- err }, want)
		synctest.Wait()
		if len(told) != 2*maxEnders+2 || len(e.idle) != 0 {
			t.Errorf("%d ends reported, %d goroutines wait after close", len(told), len(e.idle))
		}
		for range len(told) {
			if err := <-told; !errors.Is(err, want) {
				t.Errorf("%v", err)
			}
		}
	})
}
