package proxy

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Tunnels that begin together do not end together, and none exceeds its lifetime.
func TestLifetimeJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, lifetime = 60, time.Hour
		c := &Carrier{live: map[*Tunnel]struct{}{}} // the waits of event loops are not durably blocking in a bubble
		began, ends := time.Now(), make(chan time.Duration, n)
		for range n {
			cl, nearClient := net.Pipe()
			up, nearUpstream := net.Pipe()
			if _, err := c.Carry(nearClient, nearUpstream, nil, nil, TunnelOptions{Lifetime: lifetime}, nil); err != nil {
				t.Fatal(err)
			}
			for _, nc := range []net.Conn{cl, up} {
				go func() {
					b := make([]byte, 256)
					_, err := nc.Read(b)
					if nc == cl {
						if err != nil || b[0] != 0x88 {
							t.Errorf("got % x, %v, want a close frame", b[:2], err)
						}
						ends <- time.Since(began)
					}
					nc.Close()
				}()
			}
		}
		first, last := lifetime, time.Duration(0)
		for range n {
			end := <-ends
			first, last = min(first, end), max(last, end)
		}
		if first < lifetime*9/10 || last > lifetime || last-first < lifetime/20 {
			t.Errorf("got ends from %v to %v, want them spread over the last tenth of %v", first, last, lifetime)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
