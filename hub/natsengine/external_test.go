//go:build unix

package natsengine

import (
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/hub/enginetest"
)

func TestExternal(t *testing.T) {
	enginetest.Run(t, enginetest.Options{Flow: 600}, func(t testing.TB) enginetest.Cluster {
		p := startProcess(t)
		r := startRelay(t, p.addr())
		c := nodes(Options{URL: "nats://" + r.listener.Addr().String()})
		c.Hold = 500 * time.Millisecond
		c.Faults = map[string]func(testing.TB) func(){
			"a stopped server": func(testing.TB) func() {
				p.signal(syscall.SIGSTOP)
				return func() { p.signal(syscall.SIGCONT) }
			},
			"a killed server": func(testing.TB) func() {
				p.kill()
				return p.start
			},
			"cut connections": func(testing.TB) func() {
				r.cut()
				return r.heal
			},
		}
		return c
	})
}
