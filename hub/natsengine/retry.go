package natsengine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

var (
	errCut     = errors.New("natsengine: the connection to the NATS server was lost")
	errNobody  = errors.New("natsengine: no NATS server has this stream, or it has no leader")
	errTooLate = errors.New("natsengine: the NATS server did not answer in time")
)

const (
	attempt     = 10 * time.Second      // the longest wait for one answer
	askAgain    = time.Second           // before a request is sent again
	leaderPause = 50 * time.Millisecond // between two attempts while there is no leader
)

// Error codes of JetStream.
const (
	codeWrongLast    = 10071
	codeWrongLastNow = 10164 // another message of the subject is under way
	codeNotFound     = 10037

	// These pass by themselves.
	codeIncomplete   = 10004 // not all servers have answered another one
	codeUnavailable  = 10008 // the server that answers knows no leader
	codeNotLeader    = 10009
	codeDuplicateNow = 10158 // a message with this ID is under way
	codeNotReady     = 10163 // a message of the subject is under way, in earlier versions
	codeTooMany      = 10167 // messages wait
)

// apiError is an error that a server reports.
type apiError struct {
	Status      int    `json:"code"` // as in HTTP
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("the NATS server says: %s (%d)", e.Description, max(e.Status, e.Code))
}

// temporary reports whether the same request may succeed later: while the cluster chooses a leader, and while a server starts, stops or
// is overloaded. A direct get has no code: its status is 500 when the server that was asked cannot read, where another one can.
func (e *apiError) temporary() bool {
	switch e.Code {
	case codeIncomplete, codeUnavailable, codeNotLeader, codeDuplicateNow, codeNotReady, codeTooMany:
		return true
	case 0:
		return e.Status == 429 || e.Status == 500 || e.Status == 503
	}
	return false
}

// temporary reports whether what has failed with err may succeed later.
func temporary(err error) bool {
	api, ok := errors.AsType[*apiError](err)
	return ok && api.temporary() || errors.Is(err, errCut) || errors.Is(err, errNobody) || errors.Is(err, errTooLate)
}

// sending returns what an error of the client means to a call: it has not sent anything while the connection is lost.
func sending(err error) error {
	for _, cut := range []error{nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting, nats.ErrDisconnected} {
		if errors.Is(err, cut) {
			return errCut
		}
	}
	return err
}

// persist makes a request, and makes it again while its error is temporary, for [attempt] at most. Each time has a bound of its own, which
// once sets: a server that has stopped does not answer, while its connections stay open. When the connection is lost, persist returns.
func persist(ctx context.Context, once func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, attempt, errTooLate)
	defer cancel()
	for {
		err := once(ctx)
		switch {
		case err == nil, errors.Is(err, errCut), !temporary(err):
			return err
		case errors.Is(err, errTooLate) && ctx.Err() == nil:
		case !sleep(ctx, leaderPause):
			return err
		}
	}
}

// call carries out f, with the streams as they are at that time, and again while its error is temporary, until ctx ends. So a call
// outlives the loss of the connection and of a leader. What f stores it must be able to store twice: see [putting].
func (e *Engine) call(ctx context.Context, f func(s *store, epoch string) error) error {
	var before error
	for {
		s, epoch, err := e.ready(ctx)
		if err == nil {
			err = f(s, epoch)
		}
		switch {
		case err == nil:
			return nil
		case temporary(err) && sleep(ctx, leaderPause):
		case temporary(err):
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case before != nil && ctx.Err() != nil:
			return fmt.Errorf("%w: %w", err, before)
		default:
			return err
		}
		before = err
	}
}

// sleep waits for d, and reports false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
