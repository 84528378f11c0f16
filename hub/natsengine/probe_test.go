package natsengine

import (
	"context"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

// OnReady is called for the first probe that succeeds, and for the first behind one that failed.
func TestProbeReportsThatItIsReady(t *testing.T) {
	ready := make(chan struct{}, 10)
	e := newEngine(t, Options{Server: start(t, Embedded{Dir: t.TempDir()}), OnReady: func() { ready <- struct{}{} }})
	h := hub.New(hub.Options{Engine: e, ProbeEvery: -1})
	t.Cleanup(func() { h.Close() })
	ctx := bounded.Context(t)
	bounded.Until(t, func() bool { return e.Probe(ctx) == nil })
	bounded.Receive(t, ready)
	if err := e.Probe(ctx); err != nil || len(ready) > 0 {
		t.Errorf("a second probe: %v, reported %d times", err, len(ready))
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.Probe(over); err == nil || len(ready) > 0 {
		t.Errorf("a probe without time: %v, reported %d times", err, len(ready))
	}
	if err := e.Probe(ctx); err != nil || len(ready) != 1 {
		t.Errorf("a probe behind one that failed: %v, reported %d times", err, len(ready))
	}
}
