package proxy

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/handfast/handfast/balance"
)

// Busy says that more clients come than the servers can take.
type Busy struct {
	RetryAfter time.Duration // when the client may come back, jitter included
}

// Error says so.
func (e *Busy) Error() string { return "proxy: too many clients connect concurrently" }

// Reply returns what a client gets for an error of [Balancer.Open] that is no [*Refused]: the status, how long to wait before the next
// attempt, 0 if that is not known, and a sentence that names no server.
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
	return f.Status(), 0, "The server behind this one did not answer as a WebSocket server does."
}

// RetryAfter returns d as the value of a Retry-After field, in whole seconds.
func RetryAfter(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}
