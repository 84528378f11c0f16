package natsengine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

var (
	errDisconnected = errors.New("natsengine: the connection to the NATS server was lost")
	errNoResponders = errors.New("natsengine: no NATS server has this stream, or it has no leader")
	errTimeout      = errors.New("natsengine: the NATS server did not answer in time")
)

const (
	requestTimeout = 10 * time.Second      // the longest time for all attempts of one request
	retryInterval  = time.Second           // the maximum wait for a reply before a request is sent again
	leaderPause    = 50 * time.Millisecond // the pause between two attempts while there is no leader
)

// Error codes of JetStream.
const (
	codeWrongLast    = 10071
	codeWrongLastNow = 10164 // another message of the subject is being stored
	codeNotFound     = 10037

	// These errors are temporary.
	codeIncomplete   = 10004 // the server did not get the replies of all other servers
	codeUnavailable  = 10008 // the replying server knows no leader
	codeNotLeader    = 10009
	codeDuplicateNow = 10158 // a message with this ID is being stored
	codeNotReady     = 10163 // a message of the subject is being stored, in older versions
	codeTooMany      = 10167 // too many messages are waiting
)

// apiError is an error that the server reports.
type apiError struct {
	Status      int    `json:"code"` // an HTTP status code
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("the NATS server reports: %s (%d)", e.Description, max(e.Status, e.Code))
}

// temporary reports whether the same request may succeed later: while the cluster elects a leader, and while a server starts, stops
// or is overloaded. An error of a direct get has no code; its status is 500 if the server cannot read the message but another
// server might.
func (e *apiError) temporary() bool {
	switch e.Code {
	case codeIncomplete, codeUnavailable, codeNotLeader, codeDuplicateNow, codeNotReady, codeTooMany:
		return true
	case 0:
		return e.Status == 429 || e.Status == 500 || e.Status == 503
	}
	return false
}

// temporary reports whether an operation that has failed with err may succeed later.
func temporary(err error) bool {
	api, ok := errors.AsType[*apiError](err)
	return ok && api.temporary() || errors.Is(err, errDisconnected) || errors.Is(err, errNoResponders) || errors.Is(err, errTimeout)
}

// sendError converts an error of the NATS client to errDisconnected if the connection is lost. The client writes a large message
// immediately, so an error of the network connection is also possible.
func sendError(err error) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return errDisconnected
	}
	for _, cut := range []error{nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting, nats.ErrDisconnected} {
		if errors.Is(err, cut) {
			return errDisconnected
		}
	}
	return err
}

// withRetry makes a request, and repeats it while its error is temporary, for at most [attempt]. once must limit the time of each
// try, because a stopped server does not answer although its connections stay open. When the connection is lost, withRetry returns.
func withRetry(ctx context.Context, once func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errTimeout)
	defer cancel()
	for {
		err := once(ctx)
		switch {
		case err == nil, errors.Is(err, errDisconnected), !temporary(err):
			return err
		case errors.Is(err, errTimeout) && ctx.Err() == nil:
		case !sleep(ctx, leaderPause):
			return err
		}
	}
}

// call calls f with the current streams, and calls f again while its error is temporary, until ctx ends. So a call survives the loss of the
// connection or of a leader. f must tolerate that its data is stored twice: see [putting].
func (e *Engine) call(ctx context.Context, f func(s *store, epoch string) error) error {
	var before error
	for {
		s, epoch, err := e.link.ready(ctx)
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

// sleep waits for d, and reports false if ctx ends first.
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
