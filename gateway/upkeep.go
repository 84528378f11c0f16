package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/gateway/internal/registry"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

const (
	// idleChecksPerTimeout is the number of checks in one idle_timeout. A connection may be idle for up to one interval of checks
	// longer than its limit.
	idleChecksPerTimeout = 4

	// maxRechecks is the number of concurrent rechecks of all endpoints. It is small, so that the service can still respond to
	// handshakes.
	maxRechecks = 16

	// recheckPause is the minimum pause between two rechecks of one session while the service is unavailable.
	recheckPause = time.Second

	// recheckDefault is the time until the next check of a session whose current credential needs no recheck: a renewal may change
	// that.
	recheckDefault = 30 * time.Minute
)

// reasonUnknown is the close reason if the service has been unavailable for longer than the grace period.
const reasonUnknown = "session cannot be verified"

// upkeep enforces the limits on one open connection: the rates of its endpoint, its idle_timeout and the rechecks of its session.
// It has no goroutine and no timer of its own. One goroutine calls received; the tasks run on the goroutines of their schedules.
type upkeep struct {
	e        *endpoint
	entry    *registry.Entry
	identity *atomic.Pointer[auth.Identity] // the current identity
	sending  sending
	limit    string // the exceeded limit; empty if there is none

	idle       task
	messages   int64 // at the last check
	idleChecks int   // consecutive checks without a new message

	recheck task
	failing time.Time // since when the service has been unavailable; zero if it is available
}

// upkeeps are the schedules of all endpoints.
type upkeeps struct{ idle, rechecks *schedule }

func newUpkeeps() *upkeeps {
	return &upkeeps{idle: newSchedule(0, checkIdle), rechecks: newSchedule(maxRechecks, recheck)}
}

// run closes connections that are idle or no longer admitted, until ctx ends.
func (u *upkeeps) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { u.idle.run(ctx) })
	both.Go(func() { u.rechecks.run(ctx) })
	both.Wait()
}

// newUpkeep returns the upkeep of a connection, or nil if the endpoint has none of these limits.
func (e *endpoint) newUpkeep(entry *registry.Entry, identity *atomic.Pointer[auth.Identity]) *upkeep {
	if e.sending == nil && e.cfg.IdleTimeout == 0 && !e.rechecks {
		return nil
	}
	u := &upkeep{e: e, entry: entry, identity: identity, sending: sending{sendingBounds: e.sending}}
	u.idle.upkeep, u.recheck.upkeep = u, u
	return u
}

// begin is called when the connection has opened. A nil upkeep does nothing.
func (u *upkeep) begin() {
	if u == nil {
		return
	}
	if idle := time.Duration(u.e.cfg.IdleTimeout); idle > 0 {
		u.e.adm.upkeeps.idle.add(&u.idle, idle/idleChecksPerTimeout)
	}
	if u.e.rechecks {
		u.e.adm.upkeeps.rechecks.add(&u.recheck, u.nextRecheck())
	}
}

// end is called when the connection has ended. It returns the fields for the audit log.
func (u *upkeep) end() []any {
	if u == nil {
		return nil
	}
	u.e.adm.upkeeps.idle.remove(&u.idle)
	u.e.adm.upkeeps.rechecks.remove(&u.recheck)
	return []any{observe.KeyLimit, u.limit}
}

// checkIdle closes a connection that has had no message for its endpoint's idle_timeout.
func checkIdle(_ context.Context, t *task) (next time.Duration) {
	u := t.upkeep
	limit := time.Duration(u.e.cfg.IdleTimeout)
	if n := u.entry.In.Messages() + u.entry.Out.Messages(); n != u.messages {
		u.messages, u.idleChecks = n, 0
	} else if u.idleChecks++; u.idleChecks >= idleChecksPerTimeout {
		u.entry.Close(websocket.CodeNormal, fmt.Sprintf("idle for %v", u.e.cfg.IdleTimeout))
		return 0
	}
	return limit / idleChecksPerTimeout
}

// nextRecheck returns the time until the next recheck. It is random, so that sessions that began together are not rechecked
// together.
func (u *upkeep) nextRecheck() time.Duration {
	again := u.identity.Load().Again
	if again == nil {
		return recheckDefault
	}
	return again.Every - rand.N(again.Every/2+1)
}

// recheck asks the service whether a session is still valid, and closes its connection if it is not.
func recheck(ctx context.Context, t *task) (next time.Duration) {
	u := t.upkeep
	id := u.identity.Load()
	again := id.Again
	if again == nil {
		return u.nextRecheck()
	}
	ctx, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	now, err := recoverPanic(func() (*auth.Identity, error) { return again.Ask(ctx) })
	if u.identity.Load() != id { // in the meantime the client has sent another credential, which was admitted
		u.failing = time.Time{}
		return u.nextRecheck()
	}
	if err == nil {
		err = u.replaceIdentity(id, now)
	}
	refused, _ := errors.AsType[*auth.Error](err)
	switch {
	case err == nil:
		u.failing = time.Time{}
		return u.nextRecheck()
	case refused == nil || refused.Status != 401 && refused.Status != 403: // the service is down or busy
		if u.failing.IsZero() {
			u.failing = time.Now()
		}
		pause := max(min(again.Every, again.Grace)/8, recheckPause)
		if time.Since(u.failing)+pause <= again.Grace {
			return pause/2 + rand.N(pause/2+1)
		}
		u.e.rec.metrics.Rechecks.WithLabelValues("unknown").Inc()
		u.entry.Close(auth.CodeExpired, reasonUnknown)
	default:
		u.e.rec.metrics.Rechecks.WithLabelValues("refused").Inc()
		u.entry.Close(auth.CodeExpired, auth.ReasonRevoked)
	}
	return 0
}

var errOtherUser = auth.Forbidden(auth.ErrOtherSubject)

// replaceIdentity replaces the identity before with updated, the service's latest response, unless the client has sent another
// credential in the meantime. A non-nil error ends the session.
func (u *upkeep) replaceIdentity(before, updated *auth.Identity) error {
	switch {
	case updated.Subject != before.Subject:
		return errOtherUser
	case !updated.Expires.IsZero() && !time.Now().Before(updated.Expires):
		return auth.Unauthorized(errSessionOver)
	}
	if _, err := u.e.rules.Authorize(updated, auth.Action{Do: "connect", Endpoint: u.e.cfg.Name}); err != nil {
		return err
	}
	if !u.identity.CompareAndSwap(before, updated) {
		return nil
	}
	next := auth.Identity{Subject: updated.Subject, Method: updated.Method, ID: updated.ID, Issued: u.entry.Who().Issued} // so that an earlier revocation still applies
	if u.e.cfg.Expiry.Close {
		next.Expires = updated.Expires
	}
	if err := u.entry.Renew(&next); errors.Is(err, auth.ErrRevoked) {
		return auth.Unauthorized(err)
	}
	return nil // with any other error, the connection is already being closed
}

var errSessionOver = errors.New("the session is over")

// received counts a message of the client. A non-nil error means that the client has exceeded a limit: its connection is being closed, and
// the message must be discarded.
func (u *upkeep) received(bytes int64) error {
	over := u.sending.take(bytes, time.Now())
	if over == nil {
		return nil
	}
	if u.entry.Close(over.Code, over.Reason) {
		u.limit = "messages_per_second"
		if over == u.sending.tooMuch {
			u.limit = "bytes_per_second"
		}
		u.e.metrics.Limited(u.limit)
	}
	return over
}
