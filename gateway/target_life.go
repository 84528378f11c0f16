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
		"balance":    s.newBalance,
	}
}

// liveTarget is a target and the number of those that use it: sites, handshakes and connections. The last one to let go
// closes it.
type liveTarget struct {
	Target
	apps []config.App // that it was made for
	rec  *recorder

	mu    sync.Mutex
	of    config.Endpoint // that it serves
	users int             // 0 if it is closed
}

// target returns the target of endpoint i of n: one of old that goes on with the settings or has the same, or a new one. The site
// holds it.
func (b *builder) target(n, old *site, i int) (*liveTarget, error) {
	cfg := n.cfg.Endpoints[i]
	if old != nil {
		if t, err := b.configured(n, old, i); t != nil || err != nil { // even with the same settings: files that they name may have changed
			return t, err
		}
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

// Configurable is what a Target implements that goes on when a reload changes its settings, so that what it knows is not lost.
type Configurable interface {
	// Configure checks the settings of endpoint i, and returns what has them take effect. A reload that fails elsewhere does not
	// call that. The name and the path of the endpoint are the same as before.
	Configure(cfg *config.Config, i int) (apply func(), err error)
}

// configured returns the target of old that goes on with the settings of endpoint i of n; nil if there is none. The site holds it.
func (b *builder) configured(n, old *site, i int) (*liveTarget, error) {
	cfg := n.cfg.Endpoints[i]
	for _, e := range old.endpoints {
		t := e.target
		of := t.settings()
		c, ok := t.Target.(Configurable)
		if !ok || of.Name != cfg.Name || of.Path != cfg.Path || of.Target.Kind != cfg.Target.Kind {
			continue
		}
		apply, err := c.Configure(n.cfg, i)
		if err != nil {
			return nil, err
		}
		if !t.hold() {
			continue
		}
		n.apply = append(n.apply, func() {
			apply()
			t.mu.Lock()
			t.of = cfg
			t.mu.Unlock()
		})
		return t, nil
	}
	return nil, nil
}

// settings returns the endpoint that t serves.
func (t *liveTarget) settings() config.Endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of
}

// serves reports whether t is what an endpoint of these settings needs.
func (t *liveTarget) serves(cfg config.Endpoint, apps []config.App) bool {
	of := t.settings()
	return slices.Equal(t.apps, apps) && of.Name == cfg.Name && of.Path == cfg.Path && reflect.DeepEqual(of.Target, cfg.Target)
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
			t.rec.log.Error(observe.EventPanic, observe.KeyPanic, fmt.Sprint(p), observe.KeyEndpoint, t.settings().Name)
		}
	}()
	if err := t.Close(); err != nil {
		t.rec.log.Warn(observe.EventTarget, observe.KeyEndpoint, t.settings().Name, observe.KeyError, err)
	}
}
