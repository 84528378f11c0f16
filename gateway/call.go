package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/observe"
)

// caller is the client that requests a ticket or logs out. It is stored in the request's context.
type caller struct{ id *auth.Identity }

type callerKey struct{}

// identityRecorder is an Authenticator that stores its result in the request's context, for the audit log.
type identityRecorder struct{ auth.Authenticator }

func (n identityRecorder) Authenticate(r *http.Request) (*auth.Identity, error) {
	id, err := n.Authenticator.Authenticate(r)
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok && err == nil {
		c.id = id
	}
	return id, err
}

// call applies the limits on handshakes to an HTTP endpoint that checks credentials, and writes the outcome to the audit log.
func (a *admission) call(n *site, event string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := viaOf(r)
		if e := a.allow(n, v.client, nil); e != nil {
			w.Header().Set("Retry-After", e.Header.Get("Retry-After"))
			http.Error(w, e.Reason, e.Status)
			a.rec.callFailed(r, &auth.Error{Status: e.Status, Err: errors.New(e.Reason)})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), authTimeout)
		defer cancel()
		c := &caller{}
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r.WithContext(context.WithValue(ctx, callerKey{}, c)))
		if c.id == nil || status.status >= http.StatusBadRequest {
			return // a preflight, or a rejection that callFailed has reported
		}
		a.rec.audit.log(event, observe.KeyUser, c.id.Subject, observe.KeyMethod, c.id.Method, observe.KeyAddr, v.client.String(),
			observe.KeyOrigin, r.Header.Get("Origin"), observe.KeyPath, r.URL.Path, observe.KeyStatus, status.status)
	})
}

// statusWriter records the status of a reply.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is called by http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
