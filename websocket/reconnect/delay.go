package reconnect

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket"
)

const (
	// minLaterDelay is the minimum delay after a server asks clients to wait: the registration of close code 1012 specifies a random
	// delay of 5 to 30 seconds.
	minLaterDelay = 5 * time.Second

	// maxRetryAfter limits Retry-After, so that a mistake on the server does not keep a client disconnected for a day.
	maxRetryAfter = time.Hour
)

// delay chooses the delay before the next dial.
func (o *Options) delay(v Verdict, f Failure) time.Duration {
	low, high := o.window(v, f.Attempt, retryAfter(f.Err, time.Now()))
	return low + rand.N(high-low)
}

// window returns the bounds of the delay, which is at least low and less than high. after is the value of Retry-After.
func (o *Options) window(v Verdict, attempt int, after time.Duration) (low, high time.Duration) {
	if v == Later && after == 0 {
		return min(minLaterDelay, o.MaxDelay/2), o.MaxDelay
	}
	high = o.MinDelay
	for range attempt - 1 {
		if high >= o.MaxDelay/2 {
			high = o.MaxDelay
			break
		}
		high *= 2
	}
	return after, after + high
}

// retryAfter returns how long the server that rejected the handshake or closed the connection asks clients to wait, or 0 if it does
// not ask. The time is in the Retry-After header (RFC 9110 §10.2.3: seconds or a date) or in the close reason.
func retryAfter(err error, now time.Time) time.Duration {
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok && ce.ByPeer {
		return retryAfterReason(ce.Reason)
	}
	he, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok {
		return 0
	}
	value := strings.TrimSpace(he.Header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) { // err can only mean that the number is too large
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(he.Header.Get("Date")); err == nil {
		now = sent // Retry-After refers to the server's clock
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}

// retryAfterReason returns the time in a close reason such as "moved to another server; retry-after=1.4", or 0 if there is none. For
// retry-after=0 it returns a millisecond, because 0 would mean the default delay.
func retryAfterReason(reason string) time.Duration {
	_, value, ok := strings.Cut(reason, "retry-after=")
	if !ok {
		return 0
	}
	value, _, _ = strings.Cut(strings.TrimRight(value, "."), " ")
	seconds, err := strconv.ParseFloat(strings.TrimRight(value, ";,"), 64)
	if err != nil || !(seconds >= 0) { // also true for NaN
		return 0
	}
	if seconds > maxRetryAfter.Seconds() {
		return maxRetryAfter
	}
	return max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
}
