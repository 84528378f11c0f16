package hub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/enginetest"
	"github.com/handfast/handfast/internal/bounded"
)

// asideEngine is an engine whose Publish does not wait for its first delivery to finish.
type asideEngine struct {
	inner

	first sync.Once
	wg    sync.WaitGroup
}

type asideSink struct {
	hub.Sink
	of *asideEngine
}

func (s asideSink) Deliver(channel string, ps []*hub.Publication) {
	now := true
	s.of.first.Do(func() {
		now = false
		ps := slices.Clone(ps)
		s.of.wg.Go(func() { s.Sink.Deliver(channel, ps) })
	})
	if now {
		s.Sink.Deliver(channel, ps)
	}
}

func (e *asideEngine) Run(ctx context.Context, s hub.Sink) error {
	return e.inner.Run(ctx, asideSink{s, e})
}

// The publications that wait while a subscriber blocks its channel are also limited in bytes. Publications beyond that limit are read from
// the history later, or dropped if there is no history.
func TestBacklogBytes(t *testing.T) {
	const count, size = 20, 1 << 20 // more than the limit
	for _, history := range []int{0, count + 2} {
		t.Run(fmt.Sprint("history ", history), func(t *testing.T) {
			e := &asideEngine{inner: hub.NewMemory().Node().(inner)}
			h := start(t, hub.Options{Engine: e, Namespaces: []hub.Namespace{{History: history, MaxData: 2 * size}}})
			reached, release := make(chan struct{}), make(chan struct{})
			kept := enginetest.NewClient(t, h, nil, hub.Client{ID: "kept"})
			kept.Subscribe(t, "c", hub.SubscribeOptions{Filter: func(p *hub.Publication) bool {
				if string(p.Data) == "first" {
					close(reached)
					<-release
				}
				return true
			}})
			publish(t, h, "c", text("first"))
			bounded.Receive(t, reached)
			for i := range count {
				publish(t, h, "c", text(fmt.Sprint(i, strings.Repeat("x", size))))
				if i > 0 || history == 0 {
					continue
				}
				if _, err := h.Publish(bounded.Context(t), "app", "c", text("unkept"), &hub.PublishOptions{History: -1}); err != nil {
					t.Fatal(err)
				}
			}
			publish(t, h, "c", text("last"))
			close(release)
			e.wg.Wait()
			if history == 0 {
				bounded.Until(t, func() bool {
					s := h.Stats()[0]
					return s.Dropped > 0 && len(kept.Texts())+int(s.Dropped) == count+2
				})
				return
			}
			kept.Until(t, func([]enginetest.Event) bool { return slices.Contains(kept.Texts(), "last") })
			got, s := kept.Texts(), h.Stats()[0]
			if len(got) != count+2 || s.Refilled == 0 || s.Dropped != 1 { // the dropped publication is not in the history
				t.Fatalf("%d arrived, %+v", len(got), s)
			}
			for i := range count {
				if !strings.HasPrefix(got[i+1], fmt.Sprint(i, "x")) {
					t.Errorf("%.10s in place of %d", got[i+1], i)
				}
			}
		})
	}
}
