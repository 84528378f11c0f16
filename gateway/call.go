package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := viaOf(r)
		perSecond := n.cfg.Limits.HandshakesPerSecond
		if ok, wait := s.rate.Allow(limit.Key(v.client), time.Now(), perSecond, burst(perSecond)); !ok {
			e := tooFast(wait)
			w.Header().Set("Retry-After", e.Header.Get("Retry-After"))
			http.Error(w, e.Reason, e.Status)
			s.callFailed(r, &auth.Error{Status: e.Status, Err: errors.New(e.Reason)})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), authTimeout)
		defer cancel()
		c := &caller{}
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r.WithContext(context.WithValue(ctx, callerKey{}, c)))
		if c.id == nil || status.status >= http.StatusBadRequest {
			return // a preflight, or a refusal, of which callFailed was told
		}
		s.audit.log(event, observe.KeyUser, c.id.Subject, observe.KeyMethod, c.id.Method, observe.KeyAddr, v.client.String(),
			observe.KeyOrigin, r.Header.Get("Origin"), observe.KeyPath, r.URL.Path, observe.KeyStatus, status.status)
	})
}

// callFailed tells why a call for a ticket, or to log out, failed.
func (s *Server) callFailed(r *http.Request, err error) {
	n := refusalOf(r, viaOf(r))
	n.Stage, n.Reason = string(websocket.StageCheck), err.Error()
	if e, ok := errors.AsType[*auth.Error](err); ok {
		n.Status = e.Status
	}
	user, method := "", ""
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok && c.id != nil {
		user, method = c.id.Subject, c.id.Method
	}
	s.record(s.outside, n, user, method)
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
