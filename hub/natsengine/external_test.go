//go:build unix

package natsengine

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
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

// A call returns when its context is done, or soon after, even while the server is stopped and does not read from its connection.
func TestStoppedServerDoesNotRead(t *testing.T) {
	p := startProcess(t)
	e := newEngine(t, Options{URL: "nats://" + p.addr()})
	h := hub.New(hub.Options{Engine: e, ProbeEvery: -1})
	defer h.Close() //nolint:errcheck // an error does not matter, because the server is stopped after the test
	publish := func(ctx context.Context) error {
		data := make([]byte, 1<<20)
		_, err := e.Publish(ctx, hub.ChannelOf("app", "c"), &hub.Publication{Data: data}, hub.PublishOptions{History: 1})
		return err
	}
	if err := publish(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGSTOP)
	ran := bounded.Clock(t)
	var calls sync.WaitGroup
	for range 40 { // more than the buffers of the connection hold
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := publish(ctx); err == nil {
				t.Error("a stopped server has acknowledged")
			}
		})
	}
	calls.Wait()
	took := ran()
	p.signal(syscall.SIGCONT)
	if took > 30*time.Second {
		t.Errorf("calls with a timeout of two seconds took %v", took)
	}
	if err := publish(bounded.Context(t)); err != nil {
		t.Error(err)
	}
}
