package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/limit"
	"github.com/handfast/handfast/observe"
)

// caller is who made a call for a ticket, or to log out. It lies in the request's context.
type caller struct{ id *auth.Identity }

type callerKey struct{}

// noted remembers whom an Authenticator has found, for the audit log.
type noted struct{ auth.Authenticator }

func (n noted) Authenticate(r *http.Request) (*auth.Identity, error) {
	id, err := n.Authenticator.Authenticate(r)
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok && err == nil {
		c.id = id
	}
	return id, err
}

// call puts the bounds of a handshake before an HTTP endpoint that looks at credentials, and its outcome into the audit
// log.
func (s *Server) call(n *site, event string, next http.Handler) http.Handler {
	var calls *limit.Calls
	if most := n.cfg.Limits.AuthCalls; most > 0 {
		calls = limit.NewCalls(most, authQueue*most, authWait)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := viaOf(r)
		perSecond := n.cfg.Limits.HandshakesPerSecond
		if ok, wait := s.rate.Allow(limit.Key(v.client), time.Now(), perSecond, burst(perSecond)); !ok {
			later(w, http.StatusTooManyRequests, wait)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), authTimeout)
		defer cancel()
		if calls != nil {
			if calls.Begin(ctx) != nil {
				later(w, http.StatusServiceUnavailable, authWait)
				return
			}
			defer calls.End()
		}
		c := &caller{}
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r.WithContext(context.WithValue(ctx, callerKey{}, c)))
		if c.id == nil {
			return // a preflight, or a refusal that was told elsewhere
		}
		s.audit.log(event, observe.KeyUser, c.id.Subject, observe.KeyMethod, c.id.Method, observe.KeyAddr, v.client.String(),
			observe.KeyOrigin, r.Header.Get("Origin"), observe.KeyPath, r.URL.Path, observe.KeyStatus, status.status)
	})
}

// later answers with a status and when to come again.
func later(w http.ResponseWriter, status int, wait time.Duration) {
	w.Header().Set("Retry-After", seconds(wait))
	http.Error(w, http.StatusText(status), status)
}

// statusWriter remembers the status of a reply.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
