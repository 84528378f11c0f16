package gateway

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// newTarget creates the target of endpoint i of a configuration. It may use only the applications, which all have their secrets,
// and the endpoint's name, path and target settings, because a reload that changes anything else keeps the target.
type newTarget func(cfg *config.Config, i int) (Target, error)

// targets returns the functions that create targets, by their key in the configuration.
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

// liveTarget is a target with a count of its users: sites, handshakes and connections. The last user to release the target closes it.
type liveTarget struct {
	Target
	apps []config.App // the applications for which the target was created
	rec  *recorder

	mu       sync.Mutex
	endpoint config.Endpoint // the endpoint that the target serves
	users    int             // 0 if the target is closed
}

// target returns the target of endpoint i of n: one of old that can be reconfigured or has the same settings, or a new one. The
// site holds it.
func (b *builder) target(n, old *site, i int) (*liveTarget, error) {
	cfg := n.cfg.Endpoints[i]
	if old != nil {
		if t, err := b.reconfigure(n, old, i); t != nil || err != nil { // even if the settings are unchanged, because the files that they name may have changed
			return t, err
		}
		for _, e := range old.endpoints {
			if e.target.serves(cfg, n.cfg.Apps) && e.target.acquire() {
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
	return &liveTarget{Target: t, endpoint: cfg, apps: n.cfg.Apps, rec: b.rec, users: 1}, nil
}

// Configurable is implemented by Targets that a reload can reconfigure, so that their state is not lost.
type Configurable interface {
	// Configure checks the settings of endpoint i, and returns a function that applies them. The function is not called if the
	// reload fails elsewhere. The name and the path of the endpoint have not changed.
	Configure(cfg *config.Config, i int) (apply func(), err error)
}

// reconfigure returns the target of old that was reconfigured for endpoint i of n; nil if there is none. The site holds it.
func (b *builder) reconfigure(n, old *site, i int) (*liveTarget, error) {
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
		if !t.acquire() {
			continue
		}
		n.apply = append(n.apply, func() {
			apply()
			t.mu.Lock()
			t.endpoint = cfg
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
	return t.endpoint
}

// serves reports whether t fits an endpoint with these settings.
func (t *liveTarget) serves(cfg config.Endpoint, apps []config.App) bool {
	of := t.settings()
	return slices.Equal(t.apps, apps) && of.Name == cfg.Name && of.Path == cfg.Path && reflect.DeepEqual(of.Target, cfg.Target)
}

// acquire adds a user. It returns false if the target is closed.
func (t *liveTarget) acquire() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users == 0 {
		return false
	}
	t.users++
	return true
}

// release removes a user. It closes the target if no user is left.
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
