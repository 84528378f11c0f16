package proxy

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/handfast/handfast/balance"
)

// Busy reports that there are more clients than the servers, or this process, can take.
type Busy struct {
	RetryAfter time.Duration // when the client may reconnect, including jitter
	Err        error         // the resource that this process lacks, such as descriptors; nil means the servers are busy
}

// Error reports whether this process or the servers have too many connections.
func (e *Busy) Error() string {
	if e.Err != nil {
		return "proxy: this process cannot open more connections: " + e.Err.Error()
	}
	return "proxy: too many clients are connecting at the same time"
}

// Unwrap returns Err.
func (e *Busy) Unwrap() error { return e.Err }

// exhaustionErrors are errors for a lack of resources of this process or its system, for which no server is to blame.
var exhaustionErrors = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

// exhausted reports whether a connection to a server could not be made because this process has no descriptors or memory left.
func exhausted(err error) bool {
	return slices.ContainsFunc(exhaustionErrors, func(lack syscall.Errno) bool { return errors.Is(err, lack) })
}

// portsExhausted reports whether a connection to a server could not be made because this machine has no source ports left for the
// address of that server. Other addresses have their own source ports. The server is not to blame.
func portsExhausted(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }

// isLocalFault reports whether the server is not to blame for a failed connection.
func isLocalFault(err error) bool { return exhausted(err) || portsExhausted(err) }

// exhaustedBusy returns a Busy that asks a client to reconnect in one to two seconds, when descriptors may be available again.
func exhaustedBusy(err error) *Busy {
	return &Busy{RetryAfter: time.Second + rand.N(time.Second), Err: err}
}

// Reply returns the response for an error of [Balancer.Open] that is not a [*Refused]: the status, the time before the next
// attempt, or 0 if it is not known, and a sentence that names no server.
func Reply(err error) (status int, retryAfter time.Duration, reason string) {
	if e, ok := errors.AsType[*Busy](err); ok {
		return http.StatusServiceUnavailable, e.RetryAfter, "Too many clients are connecting. Try again later."
	}
	if e, ok := errors.AsType[*balance.Unavailable](err); ok {
		after := e.RetryAfter + rand.N(e.RetryAfter/2+1)
		if errors.Is(err, balance.ErrFull) {
			return http.StatusServiceUnavailable, after, "All servers are full. Try again later."
		}
		return http.StatusServiceUnavailable, after, "No server is available. Try again later."
	}
	f, _ := errors.AsType[*Failure](err)
	switch {
	case f == nil:
		return http.StatusServiceUnavailable, 0, "The server is closing."
	case f.Stage == StageRequest:
		return f.Status(), 0, "The request cannot be passed on: " + f.Err.Error() + "."
	case f.Timeout():
		return f.Status(), 0, "The server behind this one did not answer in time."
	case f.Stage == StageConnect || f.Stage == StageTLS:
		return f.Status(), 0, "The server behind this one cannot be reached."
	case f.Stage == StageResponse:
		return f.Status(), 0, "The server behind this one gave no valid response."
	}
	return f.Status(), 0, "The server behind this one did not complete the WebSocket handshake."
}
