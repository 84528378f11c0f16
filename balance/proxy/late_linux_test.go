package proxy

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// The bound of a handshake holds whenever it begins: the loop counts in ticks, so that it may look at a connection a little too soon.
func TestServerThatNeverAnswers(t *testing.T) {
	c := NewCarrier()
	defer c.Close()
	l := listen(t)
	defer l.Close()
	d, err := NewDialer(l.Addr().String(), DialerOptions{Handshake: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded.Context(t)
	var all sync.WaitGroup
	for range 40 {
		<-time.After(time.Millisecond) // at another part of a tick
		r := asked(t, plain+"\r\n")
		all.Go(func() {
			if _, err := c.open(ctx, d, r); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
}
