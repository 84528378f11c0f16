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
	// idleLooks is how often an idle connection is looked at before it is closed: it may be idle for longer by one part of so many.
	idleLooks = 4

	// recheckTurns is how many sessions are asked about concurrently, by all endpoints together: handshakes have the rest of what a service
	// can answer.
	recheckTurns = 16

	// recheckPause is the least time between two questions about one session, while no service answers.
	recheckPause = time.Second

	// recheckOther is how long a session is left alone whose credential at the moment is of a kind that is not asked about.
	recheckOther = 30 * time.Minute
)

// reasonUnknown is the reason that connections are closed with when no service has said for too long whether their session still holds.
const reasonUnknown = "session cannot be verified"

// upkeep is what an open connection is held to while time passes, for connections that are: of an endpoint with bounds on what a client sends,
// with an idle_timeout, or with sessions that are asked about again. It has no goroutine and no timer of its own.
type upkeep struct {
	e       *endpoint
	entry   *registry.Entry
	who     *atomic.Pointer[auth.Identity] // who it is at the moment
	sending sending
	limit   string // that the client has exceeded

	idle     task
	messages int64 // that there were at the last look
	quiet    int   // looks in a row that have found no more

	recheck task
	failing time.Time // since when no service has answered; zero: it has
}

// upkeeps are the schedules of all endpoints.
type upkeeps struct{ idle, rechecks *schedule }

func newUpkeeps() *upkeeps {
	return &upkeeps{idle: newSchedule(0, lookIdle), rechecks: newSchedule(recheckTurns, recheck)}
}

// run closes what is idle and what is no longer admitted, until ctx ends.
func (u *upkeeps) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { u.idle.run(ctx) })
	both.Go(func() { u.rechecks.run(ctx) })
	both.Wait()
}

// newUpkeep returns what a client of the endpoint is held to, nil for nothing.
func (e *endpoint) newUpkeep(entry *registry.Entry, who *atomic.Pointer[auth.Identity]) *upkeep {
	if e.sending == nil && e.cfg.IdleTimeout == 0 && !e.rechecks {
		return nil
	}
	u := &upkeep{e: e, entry: entry, who: who, sending: sending{sendingBounds: e.sending}}
	u.idle.of, u.recheck.of = u, u
	return u
}

// begin is called when the connection is open, and end when it has ended.
func (u *upkeep) begin() {
	if u == nil {
		return
	}
	if idle := time.Duration(u.e.cfg.IdleTimeout); idle > 0 {
		u.e.adm.upkeeps.idle.add(&u.idle, idle/idleLooks)
	}
	if u.e.rechecks {
		u.e.adm.upkeeps.rechecks.add(&u.recheck, u.nextRecheck())
	}
}

// end returns what the audit log has about it.
func (u *upkeep) end() []any {
	if u == nil {
		return nil
	}
	u.e.adm.upkeeps.idle.remove(&u.idle)
	u.e.adm.upkeeps.rechecks.remove(&u.recheck)
	return []any{observe.KeyLimit, u.limit}
}

// lookIdle closes a connection on which there was no message for as long as its endpoint allows.
func lookIdle(_ context.Context, t *task) (next time.Duration) {
	u := t.of
	limit := time.Duration(u.e.cfg.IdleTimeout)
	if n := u.entry.In.Messages() + u.entry.Out.Messages(); n != u.messages {
		u.messages, u.quiet = n, 0
	} else if u.quiet++; u.quiet >= idleLooks {
		u.entry.Close(websocket.CodeNormal, fmt.Sprintf("idle for %v", u.e.cfg.IdleTimeout))
		return 0
	}
	return limit / idleLooks
}

// nextRecheck returns when to ask about the session again: at random, so that sessions that have begun together are not asked about
// together.
func (u *upkeep) nextRecheck() time.Duration {
	again := u.who.Load().Again
	if again == nil {
		return recheckOther
	}
	return again.Every - rand.N(again.Every/2+1)
}

// recheck asks whether a session still holds, and closes its connection if it does not.
func recheck(ctx context.Context, t *task) (next time.Duration) {
	u := t.of
	id := u.who.Load()
	again := id.Again
	if again == nil {
		return u.nextRecheck()
	}
	ctx, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	now, err := again.Ask(ctx)
	if u.who.Load() != id { // the client has shown another credential meanwhile, which is admitted
		u.failing = time.Time{}
		return u.nextRecheck()
	}
	if err == nil {
		err = u.goesOnAs(id, now)
	}
	refused, _ := errors.AsType[*auth.Error](err)
	switch {
	case err == nil:
		u.failing = time.Time{}
		return u.nextRecheck()
	case refused == nil || refused.Status != 401 && refused.Status != 403: // nothing is known: the service is down, or busy
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

// goesOnAs has the session of before go on with what a service has said of it now, unless the client has shown another credential meanwhile.
func (u *upkeep) goesOnAs(before, now *auth.Identity) error {
	switch {
	case now.Subject != before.Subject:
		return errOtherUser
	case !now.Expires.IsZero() && !time.Now().Before(now.Expires):
		return auth.Unauthorized(errSessionOver)
	}
	if _, err := u.e.rules.Authorize(now, auth.Action{Do: "connect", Endpoint: u.e.cfg.Name}); err != nil {
		return err
	}
	if !u.who.CompareAndSwap(before, now) {
		return nil
	}
	next := auth.Identity{Subject: now.Subject, Method: now.Method, ID: now.ID, Issued: u.entry.Who().Issued} // a revocation of what was issued before counts still
	if u.e.cfg.Expiry.Close {
		next.Expires = now.Expires
	}
	if err := u.entry.Renew(&next); errors.Is(err, auth.ErrRevoked) {
		return auth.Unauthorized(err)
	}
	return nil // it is being closed
}

var errSessionOver = errors.New("the session is over")

// received counts a message of the client. An error says that it has sent more than it may: its connection is being closed, and the message
// is not to be used.
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
