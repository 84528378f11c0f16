package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/limit"
)

// limitedMethod is a method of one endpoint that may block: on a service, a source of keys, or a slow hash. Clients with a
// credential for the method wait for their turn, so that a method that stalls holds only a limited number of them. Clients that use
// another method, or none, are not affected. A turn limits the waiting handshakes of one endpoint; the limits of Basic and Forward
// on all of their calls protect the processor and the service.
type limitedMethod struct {
	auth.Authenticator
	mayContain func(*http.Request) bool
	calls      *limit.Calls
}

// limitMethod limits a method that may block to maxCalls concurrent calls.
func limitMethod(m *method, a auth.Authenticator, maxCalls int) (auth.Authenticator, *limit.Calls) {
	if m.mayContain == nil || maxCalls <= 0 {
		return a, nil
	}
	calls := limit.NewCalls(maxCalls, authQueue*maxCalls, authWait)
	return &limitedMethod{Authenticator: a, mayContain: m.mayContain, calls: calls}, calls
}

// Authenticate implements [auth.Authenticator].
func (t *limitedMethod) Authenticate(r *http.Request) (*auth.Identity, error) {
	if !t.mayContain(r) {
		return t.Authenticator.Authenticate(r)
	}
	if err := t.calls.Begin(r.Context()); err != nil {
		return nil, auth.Unavailable(authWait, err)
	}
	defer t.calls.End()
	return t.Authenticator.Authenticate(r)
}

// boundedStore limits the concurrent calls of a store on another machine, which may stall.
type boundedStore struct {
	auth.Store
	calls *limit.Calls
}

// Revoked implements [auth.Store].
func (s *boundedStore) Revoked(ctx context.Context, id *auth.Identity) (bool, error) {
	if err := s.calls.Begin(ctx); err != nil {
		return false, err
	}
	defer s.calls.End()
	return s.Store.Revoked(ctx, id)
}

// credentialMatcher returns a function that reports whether a request may contain a credential for a method, or nil for a method
// that does not block. sources are the places of the tokens of a JWT method.
func credentialMatcher(cfg *config.Method, sources []auth.Source) func(*http.Request) bool {
	switch {
	case cfg.JWT != nil && (cfg.JWT.JWKSURL != "" || cfg.JWT.OIDCIssuer != ""):
		return func(r *http.Request) bool {
			for _, s := range sources {
				if _, err := s.Token(r); !errors.Is(err, auth.ErrNoCredentials) {
					return true
				}
			}
			return false
		}
	case cfg.Basic != nil:
		return func(r *http.Request) bool {
			_, _, ok := r.BasicAuth()
			return ok
		}
	case cfg.Cookie != nil && (cfg.Cookie.Forward != nil || cfg.Cookie.JWT.JWKSURL != "" || cfg.Cookie.JWT.OIDCIssuer != ""):
		return func(r *http.Request) bool { return len(r.CookiesNamed(cfg.Cookie.Name)) > 0 }
	case cfg.Forward != nil:
		return func(r *http.Request) bool {
			for _, name := range cfg.Forward.Headers {
				if r.Header.Get(name) != "" {
					return true
				}
			}
			return false
		}
	case cfg.Ticket != nil:
		return func(r *http.Request) bool { return strings.Contains(r.URL.RawQuery, cfg.Ticket.Query) }
	}
	return nil
}
