package gateway

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
)

// reasonRevoked is the reason that a connection is closed with, by code 4401, when its credential was revoked.
const reasonRevoked = "credential revoked"

var errRevoked = errors.New("the credential was revoked during the handshake")

// recentRevocations are the revocations that a handshake under way may have missed: it was looked at before, and opens
// its connection after.
type recentRevocations struct {
	mu   sync.Mutex
	list []recentRevocation // the oldest first
}

type recentRevocation struct {
	auth.Revocation
	heard time.Time
}

const (
	// recentFor is longer than a handshake takes from the look at its credential to its connection.
	recentFor = 2 * authTimeout

	// recentMost bounds the list. A store that is read anew tells of all that it has; the oldest of these are long past.
	recentMost = 10_000
)

func (l *recentRevocations) add(r auth.Revocation, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim(now)
	if len(l.list) == recentMost {
		l.list = l.list[1:]
	}
	l.list = append(l.list, recentRevocation{r, now})
}

// trim forgets what no handshake can have missed any more. l.mu is held.
func (l *recentRevocations) trim(now time.Time) {
	for len(l.list) > 0 && now.Sub(l.list[0].heard) > recentFor {
		l.list = l.list[1:]
	}
}

// covers reports whether the credential of e was revoked meanwhile. e is in the registry by now: a revocation that comes
// later finds it there.
func (l *recentRevocations) covers(e *registry.Entry) bool {
	id := identityOf(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim(time.Now())
	return slices.ContainsFunc(l.list, func(r recentRevocation) bool { return r.Covers(id) })
}

// identityOf returns of an identity what a revocation looks at.
func identityOf(e *registry.Entry) *auth.Identity {
	return &auth.Identity{Subject: e.User, ID: e.Credential, Issued: e.Issued}
}

// revoke closes the connections that a revocation takes back.
func (s *Server) revoke(r auth.Revocation) {
	s.revoked.add(r, time.Now())
	n := s.conns.Close(registry.Filter{User: r.Subject}, func(e *registry.Entry) bool { return r.CoversOpen(identityOf(e)) },
		registry.CodeUnauthorized, reasonRevoked)
	if n > 0 {
		s.metrics.Revoked.Add(float64(n))
		s.log.Info(observe.EventRevoked, observe.KeyUser, r.Subject, observe.KeyCount, n)
		s.audit.log(observe.AuditClosing, observe.KeyUser, r.Subject, observe.KeyReason, reasonRevoked, observe.KeyCount, n)
	}
}
