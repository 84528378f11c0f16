package balance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Unavailable is the error of [Pool.Acquire]. It wraps [ErrFull] if an upstream was not chosen only because it had no room, and
// [ErrNone] otherwise. It must not be modified: several callers may get the same error.
type Unavailable struct {
	Err        error         // ErrNone or ErrFull
	Reasons    []Reason      // why each listed upstream was not chosen, sorted by ID
	RetryAfter time.Duration // a useful time for the next attempt, 1 to 30 seconds; the caller adds jitter
}

// Reason is the reason why one upstream was not chosen.
type Reason struct {
	ID    string // ID of the upstream
	State State  // never Ready
	Why   string // in words; may be ""
}

// String returns the reason as one line.
func (r Reason) String() string {
	if r.Why == "" {
		return r.ID + ": " + string(r.State)
	}
	return fmt.Sprintf("%s: %s: %s", r.ID, r.State, r.Why)
}

// The limits of a suggestion for Retry-After.
const (
	minRetryAfter     = time.Second
	maxRetryAfter     = 30 * time.Second
	defaultRetryAfter = 5 * time.Second
)

// maxReasons limits the text of an error.
const maxReasons = 8

// Error returns Err and the first eight reasons.
func (e *Unavailable) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	if len(e.Reasons) == 0 {
		b.WriteString(": the list of upstreams is empty")
	}
	for i, r := range e.Reasons {
		if i == maxReasons {
			fmt.Fprintf(&b, ", and %d more", len(e.Reasons)-i)
			break
		}
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + r.String())
	}
	return b.String()
}

// Unwrap returns ErrNone or ErrFull.
func (e *Unavailable) Unwrap() error { return e.Err }

// refuse returns the error for Acquire. Its parts that do not depend on the caller or the time are cached until a change.
func (p *Pool) refuse(now time.Time, tried []*Upstream) *Unavailable {
	if len(tried) == 0 && p.refusal != nil {
		return p.refusal
	}
	e := &Unavailable{Err: ErrNone}
	var ends time.Time // the earliest end of an ejection
	for _, u := range p.all {
		if !u.listed {
			continue
		}
		r := Reason{u.id, u.state(), u.stateReason()}
		switch {
		case slices.Contains(tried, u):
			r.State, r.Why = Tried, ""
		case r.State == Full:
			e.Err = ErrFull
		case r.State == Ejected && (ends.IsZero() || u.ejection.until.Before(ends)):
			ends = u.ejection.until
		}
		e.Reasons = append(e.Reasons, r)
	}
	switch {
	case e.Err == ErrFull && p.releaseInterval > 0:
		e.RetryAfter = p.releaseInterval
	case e.Err == ErrNone && !ends.IsZero():
		e.RetryAfter = ends.Sub(now)
	default:
		e.RetryAfter = defaultRetryAfter
	}
	e.RetryAfter = min(max(e.RetryAfter, minRetryAfter), maxRetryAfter)
	if len(tried) == 0 && ends.IsZero() {
		p.refusal = e
	}
	return e
}
