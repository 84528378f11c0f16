package gateway

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// newTarget makes the target of endpoint i of a configuration. It may use the applications, each of which has its secret, and
// of the endpoint the name, the path and the target's own settings: a reload that changes anything else keeps the target.
type newTarget func(cfg *config.Config, i int) (Target, error)

// targets returns the targets that there are, by their key in the configuration.
func (s *Server) targets() map[string]newTarget {
	return map[string]newTarget{
		"echo":       func(*config.Config, int) (Target, error) { return echo{}, nil },
		"channels":   s.newChannels,
		"streams":    s.newStreams,
		"pusher":     s.newPusher,
		"centrifugo": s.newCentrifugo,
	}
}

// liveTarget is a target and the number of those that use it: sites, handshakes and connections. The last one to let go
// closes it.
type liveTarget struct {
	Target
	of   config.Endpoint // that it was made for
	apps []config.App    // the same
	rec  *recorder

	mu    sync.Mutex
	users int // 0: it is closed
}

// target returns the target of endpoint i of n: the one that old has for the same settings, or a new one. The site holds
// it.
func (b *builder) target(n, old *site, i int) (*liveTarget, error) {
	cfg := n.cfg.Endpoints[i]
	if old != nil {
		for _, e := range old.endpoints {
			if e.target.serves(cfg, n.cfg.Apps) && e.target.hold() {
				return e.target, nil
			}
		}
	}
	make := b.targets[cfg.Target.Kind]
	if make == nil {
		return nil, n.cfg.Problem(endpointPath(i, "target"), "there is no such target", "echo")
	}
	t, err := make(n.cfg, i)
	if err != nil {
		return nil, err
	}
	return &liveTarget{Target: t, of: cfg, apps: n.cfg.Apps, rec: b.rec, users: 1}, nil
}

// serves reports whether t is what an endpoint of these settings needs.
func (t *liveTarget) serves(cfg config.Endpoint, apps []config.App) bool {
	return slices.Equal(t.apps, apps) && t.of.Name == cfg.Name && t.of.Path == cfg.Path && reflect.DeepEqual(t.of.Target, cfg.Target)
}

// hold adds a user. It returns false when the target is closed.
func (t *liveTarget) hold() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users == 0 {
		return false
	}
	t.users++
	return true
}

// release takes a user off, and closes the target after the last one.
func (t *liveTarget) release() {
	t.mu.Lock()
	t.users--
	last := t.users == 0
	t.mu.Unlock()
	if !last {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			t.rec.log.Error(observe.EventPanic, observe.KeyPanic, fmt.Sprint(p), observe.KeyEndpoint, t.of.Name)
		}
	}()
	if err := t.Close(); err != nil {
		t.rec.log.Warn(observe.EventTarget, observe.KeyEndpoint, t.of.Name, observe.KeyError, err)
	}
}
