// Package reconnect keeps a client connected: it dials, passes the connection to a handler, and dials again when the connection has
// ended. A random delay spreads the clients of a server over time. Run returns if reconnecting cannot fix the cause of a failure.
//
//	err := reconnect.Run(ctx, dial, handle, nil)
//
// Run calls dial and then handle with the connection, repeatedly. A [Failure] describes why an attempt failed or a connection
// ended, and [Judge] decides whether to reconnect soon, later, or not at all. [Options] has hooks to resume at the position of the
// last connection (OnConnect), to observe retries (OnRetry) and to override decisions (Verdict).
//
// # The delay
//
// Before the n-th dial after a lost connection the delay is random between 0 and MinDelay doubled n-1 times, at most MaxDelay ("full
// jitter"): a server that restarts has to accept all its clients again, and equal delays would keep them synchronized. The count restarts
// when a connection has lasted for MaxDelay, so that a server that accepts and drops each connection is not dialed more often than a server
// that is down.
//
// After close codes 1012 and 1013 and status 429, which ask clients to wait, the delay is random from 5 to 30 seconds, as the
// registration of 1012 requires. A Retry-After header, or a close reason that contains retry-after=SECONDS, is honored, up to an
// hour, and the random delay is added, since many clients may receive the same value.
package reconnect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/handfast/handfast/websocket"
)

// Options are the options of Run. nil and the zero value mean the defaults. Run does not modify them: one value may be used by any
// number of Runs, whose hooks are then called concurrently.
type Options struct {
	// MinDelay limits the first delay. 0 means 1 second: a thousand clients that lose their server at the same time spread their
	// dials over a second, and a client with a short network failure reconnects within a second.
	MinDelay time.Duration

	// MaxDelay limits the delays, except for Retry-After. It is also the time for which a connection must last to count as good. 0 means 30
	// seconds: all clients are connected again half a minute after an outage. A value below MinDelay means MinDelay.
	MaxDelay time.Duration

	// MaxAttempts ends Run after this number of consecutive failures. 0 means no limit, since the length of an outage is unknown.
	MaxAttempts int

	// MaxElapsed ends Run when there has been no good connection for this time, or when the next dial would exceed this time. 0 means no
	// limit.
	MaxElapsed time.Duration

	// Verdict decides what to do after a failure. Default leaves the decision to [Judge], as does a nil Verdict.
	Verdict func(Failure) Verdict

	// OnConnect is called with every connection before handle, to log in, subscribe, and request missed messages. Its error is
	// treated like an error of handle. May be nil.
	OnConnect func(ctx context.Context, c *websocket.Conn, s Session) error

	// OnRetry is called with the failure and the delay before the next dial. Run waits for it to return. May be nil.
	OnRetry func(f Failure, delay time.Duration)
}

const (
	defaultMinDelay = time.Second
	defaultMaxDelay = 30 * time.Second
)

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.MinDelay <= 0 {
		out.MinDelay = defaultMinDelay
	}
	if out.MaxDelay <= 0 {
		out.MaxDelay = defaultMaxDelay
	}
	out.MaxDelay = max(out.MaxDelay, out.MinDelay)
	return out
}

// Session describes the connection that is passed to OnConnect.
type Session struct {
	Number  int           // 1 for the first connection of this Run, 2 for the second, and so on
	Attempt int           // number of consecutive failures before this connection; 0 for the first dial
	After   error         // the last failure; nil for the first dial
	Away    time.Duration // time since the end of the previous connection; 0 for the first one
}

// Failure describes why an attempt failed or a connection ended.
type Failure struct {
	// Err is the error of dial, OnConnect or handle. If handle returned nil, it is the error with which the peer ended the
	// connection.
	Err error

	Dialing bool          // dial failed: there was no connection
	Attempt int           // number of consecutive failures, including this one
	Lived   time.Duration // how long the connection was open
}

// Run keeps a connection open with dial, and calls handle with each connection. It calls both in the caller's goroutine, starts no
// other goroutine, and returns:
//
//   - nil when handle returned nil and the peer had not ended the connection, or had ended it with CodeNormal;
//   - an error of handle itself, and any failure with the verdict Stop, unchanged;
//   - an error that wraps the last failure when MaxAttempts or MaxElapsed is exceeded;
//   - an error that wraps ctx's error and the last failure, when ctx has ended and handle has returned.
//
// dial must have a time limit; the limit of websocket.Dial is 30 seconds. dial may renew a token or choose another address.
//
// handle uses the connection and returns nil when it is finished, or the error of a failed call on the connection. It need not
// close the connection, because Run closes it, with a closing handshake (CodeNormal after nil, CodeGoingAway when ctx has ended or
// for an error of handle itself), or without one when the network failed. The context that is passed to handle is canceled when
// handle returns.
//
// An error of handle itself is one that does not wrap a [websocket.CloseError], is not from the network and is not a timeout.
// It stops Run, unless Verdict decides otherwise.
func Run(ctx context.Context, dial func(context.Context) (*websocket.Conn, error),
	handle func(context.Context, *websocket.Conn) error, opts *Options) error {
	l := loop{opts: opts.withDefaults(), dial: dial, handle: handle, lastGood: time.Now()}
	for {
		f := l.attempt(ctx)
		if f.Err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return contextError(ctx, f.Err)
		}
		f = l.recordFailure(f)
		verdict := l.verdict(f)
		switch verdict {
		case Done:
			return nil
		case Stop:
			return f.Err
		}
		delay := l.opts.delay(verdict, f)
		if err := l.exceeded(f, delay); err != nil {
			return err
		}
		if l.opts.OnRetry != nil {
			l.opts.OnRetry(f, delay)
		}
		if !sleep(ctx, delay) {
			return contextError(ctx, f.Err)
		}
	}
}

// loop is the state of one call of Run.
type loop struct {
	opts     Options
	dial     func(context.Context) (*websocket.Conn, error)
	handle   func(context.Context, *websocket.Conn) error
	sessions int       // number of connections so far
	failures int       // number of consecutive failures
	lastErr  error     // the last failure
	lastLost time.Time // when the last connection ended
	lastGood time.Time // when the last good connection ended; if there was none, when Run started
}

// attempt dials and serves the connection. A Failure without an error ends Run.
func (l *loop) attempt(ctx context.Context) Failure {
	if ctx.Err() != nil {
		return Failure{Err: ctx.Err(), Dialing: true}
	}
	c, err := l.dial(ctx)
	if err != nil {
		return Failure{Err: err, Dialing: true}
	}
	begun := time.Now()
	s := Session{Attempt: l.failures, After: l.lastErr}
	l.sessions++
	s.Number = l.sessions
	if l.sessions > 1 {
		s.Away = begun.Sub(l.lastLost)
	}
	err = l.serve(ctx, c, s)
	l.lastLost = time.Now()
	return Failure{Err: err, Lived: l.lastLost.Sub(begun)}
}

// serve calls the handler with the connection, and then ends the connection.
func (l *loop) serve(ctx context.Context, c *websocket.Conn, s Session) error {
	defer c.CloseNow() // even if handle panics
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error
	if l.opts.OnConnect != nil {
		err = l.opts.OnConnect(inner, c, s)
	}
	if err == nil {
		err = l.handle(inner, c)
	}
	cancel()
	return closeAfterHandle(ctx, c, err)
}

// closeAfterHandle closes the connection after handle has returned err, and returns the error to be judged. A failed closing handshake does
// not change that error.
func closeAfterHandle(ctx context.Context, c *websocket.Conn, err error) error {
	if err == nil {
		if end := endedByPeer(c); end != nil {
			return end
		}
		code := websocket.CodeNormal
		if ctx.Err() != nil {
			code = websocket.CodeGoingAway
		}
		c.Close(code, "") //nolint:errcheck // a failed closing handshake does not change the result
		return nil
	}
	switch _, closed := errors.AsType[*websocket.CloseError](err); {
	case ctx.Err() != nil, !closed && !isNetworkError(err):
		c.Close(websocket.CodeGoingAway, "") //nolint:errcheck // a failed closing handshake does not change the result
	case !closed:
		// A write can fail before the peer's close frame is read. In that case the close frame explains more than err.
		if end := endedByPeer(c); end != nil {
			return fmt.Errorf("%w; %w", err, end)
		}
	}
	return err
}

// endedByPeer returns the error with which the peer ended the connection. It returns nil if the connection is open, or if this end
// has closed it.
func endedByPeer(c *websocket.Conn) error {
	if c.Context().Err() == nil {
		return nil
	}
	err := context.Cause(c.Context())
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok && !ce.ByPeer {
		return nil
	}
	return err
}

// recordFailure counts a failure, and sets its Attempt field.
func (l *loop) recordFailure(f Failure) Failure {
	if f.Lived >= l.opts.MaxDelay {
		l.failures = 0
		l.lastGood = l.lastLost
	}
	l.failures++
	l.lastErr = f.Err
	f.Attempt = l.failures
	return f
}

func (l *loop) verdict(f Failure) Verdict {
	verdict := Default
	if l.opts.Verdict != nil {
		verdict = l.opts.Verdict(f)
	}
	if verdict == Default {
		verdict = Judge(f)
	}
	return verdict
}

// exceeded returns the reason why there is no further attempt after delay, or nil if there may be one.
func (l *loop) exceeded(f Failure, delay time.Duration) error {
	away := time.Since(l.lastGood)
	byCount := l.opts.MaxAttempts > 0 && f.Attempt >= l.opts.MaxAttempts
	byTime := l.opts.MaxElapsed > 0 && away+delay > l.opts.MaxElapsed
	if !byCount && !byTime {
		return nil
	}
	return fmt.Errorf("reconnect: gave up after %d failures in %v: %w", f.Attempt, away.Round(time.Millisecond), f.Err)
}

// contextError returns the error for a canceled ctx, which includes the last failure if that is a different error.
func contextError(ctx context.Context, last error) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(last, err) {
		err = last
	}
	if !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if errors.Is(err, last) {
		return fmt.Errorf("reconnect: %w", err)
	}
	return fmt.Errorf("reconnect: %w; before that: %w", err, last)
}

// sleep waits for delay, and returns false if ctx is canceled first.
func sleep(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
