package natsengine

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// pendingProbes tracks the probes of an engine.
type pendingProbes struct {
	waiting sync.Map // maps the name of a probe to a chan struct{}
}

// Probe implements [hub.Probe].
func (e *Engine) Probe(ctx context.Context) error {
	return e.call(ctx, func(s *store, _ string) error { return e.probes.round(ctx, s, e.sub.probe(e.id)) })
}

// round publishes a message and waits until this node receives it.
func (p *pendingProbes) round(ctx context.Context, s *store, subject string) error {
	name := hash(time.Now().String())
	arrived := make(chan struct{})
	p.waiting.Store(name, arrived)
	defer p.waiting.Delete(name)
	if _, err := s.put(ctx, subject, []byte(name), putOptions{ttl: time.Minute}); err != nil {
		return err
	}
	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pendingProbes) arrived(m *nats.Msg) {
	if c, ok := p.waiting.LoadAndDelete(string(m.Data)); ok {
		close(c.(chan struct{}))
	}
}
