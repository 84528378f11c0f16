package centrifugo

import (
	"errors"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// failure is an error of the protocol, which is sent in the reply to a command.
type failure protocol.Error

// Error implements error.
func (f *failure) Error() string { return "centrifugo: " + f.Message }

// The errors of the protocol. Three others are not used: 101, because a client that is not authorized to connect is closed, and
// other unauthorized requests get 103; 102, because every channel has a namespace; 113, because the commands of a connection are
// executed one at a time.
var (
	errInternal      = &failure{Code: 100, Message: "internal server error", Temporary: true}
	errDenied        = &failure{Code: 103, Message: "permission denied"}
	errNoMethod      = &failure{Code: 104, Message: "method not found"}
	errSubscribed    = &failure{Code: 105, Message: "already subscribed"}
	errLimit         = &failure{Code: 106, Message: "limit exceeded"}
	errBadRequest    = &failure{Code: 107, Message: "bad request"}
	errNotAvailable  = &failure{Code: 108, Message: "not available"}
	errTokenExpired  = &failure{Code: 109, Message: "token expired"}
	errExpired       = &failure{Code: 110, Message: "expired"}
	errTooFast       = &failure{Code: 111, Message: "too many requests", Temporary: true}
	errUnrecoverable = &failure{Code: 112, Message: "unrecoverable position"}
)

// CodeShutdown is the close code when the server stops: clients reconnect.
const CodeShutdown websocket.Code = 3001

// The reasons for which connections are closed. Clients reconnect after codes below 3500. Three codes of the protocol are not used: 3506,
// because clients with JSON get binary data in base64; 3014 and, for subscriptions, 2502, because revoking a token closes the connection
// with 4401.
var (
	endShutdown     = &websocket.CloseError{Code: CodeShutdown, Reason: "shutdown"}
	endServerError  = &websocket.CloseError{Code: 3004, Reason: "internal server error"}
	endExpired      = &websocket.CloseError{Code: 3005, Reason: "connection expired"}
	endSlow         = &websocket.CloseError{Code: 3008, Reason: "slow"}
	endInsufficient = &websocket.CloseError{Code: 3010, Reason: "insufficient state"}
	endReconnect    = &websocket.CloseError{Code: 3011, Reason: "force reconnect"}
	endNoPong       = &websocket.CloseError{Code: 3012, Reason: "no pong"}
	endTooFast      = &websocket.CloseError{Code: 3013, Reason: "too many requests"}
	endToken        = &websocket.CloseError{Code: 3500, Reason: "invalid token"}
	endBadRequest   = &websocket.CloseError{Code: 3501, Reason: "bad request"}
	endStale        = &websocket.CloseError{Code: 3502, Reason: "stale"}
	endForced       = &websocket.CloseError{Code: 3503, Reason: "force disconnect"}
	endTooMany      = &websocket.CloseError{Code: 3504, Reason: "connection limit"}
	endChannels     = &websocket.CloseError{Code: 3505, Reason: "channel limit"}
	endDenied       = &websocket.CloseError{Code: 3507, Reason: "permission denied"}
	endNotAvailable = &websocket.CloseError{Code: 3508, Reason: "not available"}
	endTooManyErrs  = &websocket.CloseError{Code: 3509, Reason: "too many errors"}
)

// ends maps the end reasons of the hub to the close codes of the protocol.
var ends = map[hub.EndReason]*websocket.CloseError{
	hub.EndServer: endForced, hub.EndInsufficient: endInsufficient, hub.EndSlow: endSlow, hub.EndExpired: endExpired,
	hub.EndDenied: endDenied, hub.EndReconnect: endReconnect, hub.EndShutdown: endShutdown,
}

// unsubscribePush returns the push for the end of a subscription. Clients subscribe again after codes from 2500 on.
func unsubscribePush(why hub.EndReason) *protocol.Unsubscribe {
	switch why {
	case hub.EndInsufficient, hub.EndSlow, hub.EndReconnect, hub.EndShutdown:
		return &protocol.Unsubscribe{Code: 2500, Reason: "insufficient state"}
	case hub.EndExpired:
		return &protocol.Unsubscribe{Code: 2501, Reason: "subscription expired"}
	}
	return &protocol.Unsubscribe{Code: 2000, Reason: "server unsubscribe"}
}

// denied wraps an error that Client.Allow has returned.
type denied struct{ error }

func (d denied) Unwrap() error { return d.error }

// failureOf returns the error to reply with when a command has failed.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if _, ok := errors.AsType[denied](err); ok {
		return errDenied
	}
	for _, known := range []struct {
		err error
		is  *failure
	}{
		{hub.ErrSubscribed, errSubscribed}, {hub.ErrTooMany, errLimit}, {hub.ErrTooFast, errTooFast}, {hub.ErrTooBig, errLimit},
		{hub.ErrNoPresence, errNotAvailable}, {hub.ErrUnsupported, errNotAvailable}, {hub.ErrBadChannel, errBadRequest},
		{hub.ErrNotYours, errDenied}, {websocket.ErrQueueFull, errTooFast},
	} {
		if errors.Is(err, known.err) {
			return known.is
		}
	}
	return errInternal
}
