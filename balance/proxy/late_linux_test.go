package proxy

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// The time limit of a handshake applies whenever it ends: the loop counts in ticks, so it may look at a connection a little too
// early.
func TestHandshakeTimeout(t *testing.T) {
	c := NewCarrier()
	defer c.Close()
	l := listen(t)
	defer l.Close()
	ctx := bounded.Context(t)
	var all sync.WaitGroup
	for i := range 40 { // each at a different part of a tick
		d, err := NewDialer(l.Addr().String(), DialerOptions{Handshake: 50*time.Millisecond + time.Duration(i)*time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		r := asked(t, plain+"\r\n")
		all.Go(func() {
			if _, err := c.open(ctx, d, r); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
			}
		})
	}
	all.Wait()
}
