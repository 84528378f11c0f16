package gateway

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

// reasonRemoved is the reason that connections are closed with when their endpoint is taken out of the configuration.
const reasonRemoved = "the endpoint is gone"

var errStopping = errors.New("the server is stopping")

// Reload takes another configuration: listeners, certificates, endpoints, who may use them, and limits. Connections of
// endpoints that it still has go on, under the terms that they were admitted by; those of endpoints that it has no more are
// closed. When there is an error nothing has changed.
//
// Some settings stay as they were until the next start: the admin listener, the store, the hub, the webhooks, the logs and http.
// Reload names those that differ in the log.
func (s *Server) Reload(ctx context.Context, cfg *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.site.Load()
	if s.finished || s.alive.Err() != nil || s.running && !s.ready.Load() {
		return errStopping
	}
	cfg = s.dev.fill(cfg, s.rec)
	next, err := s.build.newSite(cfg, old)
	if err == nil {
		if err = s.in.bind(ctx, next); err != nil {
			next.close(old)
		}
	}
	if err != nil {
		s.rec.metrics.Reloads.WithLabelValues("failed").Inc()
		return err
	}
	s.site.Store(next)
	for _, apply := range next.apply {
		apply()
	}
	s.rec.refused.Keep(cfg.Handshakes.Keep)
	if s.running {
		next.startCerts()
	}
	s.dropEndpoints(old, next)
	old.close(next)
	s.logUnchangeable(old.cfg, cfg)
	s.rec.metrics.Reloads.WithLabelValues("done").Inc()
	return nil
}

// Reread opens the audit log anew and reads the files of certificates, keys and passwords again, without waiting until the
// watch on them notices a change.
func (s *Server) Reread() error {
	if err := s.rec.audit.reopen(); err != nil {
		return err
	}
	for _, c := range s.site.Load().sources() {
		if err := c.provider.Reload(); err != nil {
			return err
		}
	}
	return nil
}

// dropEndpoints closes the connections of endpoints that next has no more.
func (s *Server) dropEndpoints(old, next *site) {
	for _, e := range old.endpoints {
		name := e.cfg.Name
		if slices.ContainsFunc(next.endpoints, func(n *endpoint) bool { return n.cfg.Name == name }) {
			continue
		}
		n := s.conns.Close(registry.Filter{Endpoint: name}, websocket.Code(next.cfg.Drain.Code), reasonRemoved)
		s.rec.log.Info(observe.EventRemoved, observe.KeyEndpoint, name, observe.KeyCount, n)
	}
}

// logUnchangeable names the settings that wait for the next start.
func (s *Server) logUnchangeable(old, cfg *config.Config) {
	for _, part := range []struct {
		name string
		a, b any
	}{
		{"admin", old.Admin, cfg.Admin}, {"store", old.Store, cfg.Store}, {"http", old.HTTP, cfg.HTTP},
		{"hub", old.Hub, cfg.Hub}, {"webhooks", old.Webhooks, cfg.Webhooks}, {"log", old.Log, cfg.Log}, {"audit", old.Audit, cfg.Audit},
	} {
		if !reflect.DeepEqual(part.a, part.b) {
			s.rec.log.Warn("this setting takes effect with the next start", observe.KeySetting, part.name)
		}
	}
}
