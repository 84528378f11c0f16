package gateway

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

// reasonRemoved is the close reason of connections whose endpoint was removed from the configuration.
const reasonRemoved = "the endpoint was removed"

var errStopping = errors.New("the server is stopping")

// Reload applies another configuration: listeners, certificates, endpoints, authentication, rules and limits. Connections of
// endpoints that still exist continue under the terms under which they were admitted; those of removed endpoints are closed. If
// Reload returns an error, nothing has changed.
//
// Some settings do not change until the next start: the admin listener, the store, the hub, the webhooks, the logs and http. Reload logs
// the names of such settings that differ.
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
		if err = s.entrance.bind(ctx, next); err != nil {
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

// Reread reopens the audit log and reads the files of certificates, keys and passwords again, without waiting until a change of
// these files is noticed.
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

// dropEndpoints closes the connections of endpoints that next does not contain.
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

// logUnchangeable logs which changed settings take effect with the next start.
func (s *Server) logUnchangeable(old, cfg *config.Config) {
	for _, name := range NextStart(old, cfg) {
		s.rec.log.Warn("this setting takes effect after the next start", observe.KeySetting, name)
	}
}

// NextStart returns the keys of the settings that differ but that [Server.Reload] does not apply: they take effect with the next
// start. It returns nil if there are none.
func NextStart(old, cfg *config.Config) (keys []string) {
	for _, part := range []struct {
		name string
		a, b any
	}{
		{"admin", old.Admin, cfg.Admin}, {"store", old.Store, cfg.Store}, {"http", old.HTTP, cfg.HTTP},
		{"hub", old.Hub, cfg.Hub}, {"webhooks", old.Webhooks, cfg.Webhooks}, {"log", old.Log, cfg.Log}, {"audit", old.Audit, cfg.Audit},
	} {
		if !reflect.DeepEqual(part.a, part.b) {
			keys = append(keys, part.name)
		}
	}
	return keys
}

// Reloaded is the result of a reload, and the response to POST /reload of the admin listener. It contains no secret.
type Reloaded struct {
	Changed   bool              `json:"changed"`              // whether another configuration is in use now
	Since     time.Time         `json:"since"`                // when the configuration in use was loaded
	Changes   []config.Change   `json:"changes"`              // the differences from the previous configuration; empty after a start
	NextStart []string          `json:"next_start,omitempty"` // the keys of changes that take effect with the next start
	Problems  []*config.Problem `json:"problems,omitempty"`   // the reason why the configuration that was read is not used
	Error     string            `json:"error,omitempty"`      // the reason, if it does not concern a key
	Hint      string            `json:"hint,omitempty"`       // the next step after an Error
}

// reloadTime is the timeout of a reload through the admin listener.
const reloadTime = 30 * time.Second

// reloadConfig reloads the configuration. The status is 422 if the new one is not used.
func (s *operator) reloadConfig(w http.ResponseWriter, r *http.Request) {
	if s.reload == nil {
		plain(w, http.StatusNotImplemented, "this server does not support reloading its configuration\n")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), reloadTime)
	defer cancel()
	answer := s.reload(ctx)
	if answer.Changes == nil {
		answer.Changes = []config.Change{}
	}
	status := http.StatusOK
	if answer.Error != "" || len(answer.Problems) > 0 {
		status = http.StatusUnprocessableEntity
	}
	respondJSON(w, status, answer)
}
