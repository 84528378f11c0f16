//go:build linux

package load

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// All connections take turns if only some are busy and if messages have a rate, and ModeStill measures an idle period.
func TestSomeBusy(t *testing.T) {
	for name, c := range map[string]Config{
		"busy":  {Mode: ModeEcho, Conns: 20, Size: 16, Busy: 2, For: 20 * time.Millisecond},
		"rate":  {Mode: ModeEcho, Conns: 20, Size: 16, Rate: 5000, For: 20 * time.Millisecond},
		"still": {Mode: ModeStill, Conns: 20, Size: 16, For: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() { // returns when the listener is closed
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					serving.Go(func() { // returns when the load has closed the connection
						defer c.Close()
						io.Copy(c, c) //nolint:errcheck // the load ends the connection with a reset, which is an error
					})
				}
			})
			c.Raw, c.Addr = true, l.Addr().String()
			r, err := Run(c, nil)
			l.Close()
			serving.Wait()
			if err != nil || r.Ops == 0 || c.Mode == ModeStill && r.Ops != 1 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}
