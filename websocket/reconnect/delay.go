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
	// restart is the least delay for a server that asked for time: the registration of close code 1012 says 5 to 30
	// seconds, random.
	restart = 5 * time.Second

	// maxRetryAfter is how long a server can send a client away: a mistake there shall not cost a day here.
	maxRetryAfter = time.Hour
)

// delay picks the delay before the next dial.
func (o *Options) delay(v Verdict, f Failure) time.Duration {
	low, high := o.window(v, f.Attempt, retryAfter(f.Err, time.Now()))
	return low + rand.N(high-low)
}

// window returns between what the delay lies: low at least, less than high. after is what Retry-After said.
func (o *Options) window(v Verdict, attempt int, after time.Duration) (low, high time.Duration) {
	if v == Later && after == 0 {
		return min(restart, o.MaxDelay/2), o.MaxDelay
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

// retryAfter returns for how long the server that refused the handshake asked not to be dialed, 0 when it did not
// (RFC 9110 §10.2.3: seconds or a date).
func retryAfter(err error, now time.Time) time.Duration {
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
		if err != nil || seconds > int64(maxRetryAfter/time.Second) { // the only error there is: too large
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(he.Header.Get("Date")); err == nil {
		now = sent // the server's clock, by which it meant the date
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
