package gateway

import (
	"fmt"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/websocket"
)

// sendingBounds are the rate limits of an endpoint on the messages of one client.
type sendingBounds struct {
	message, messages time.Duration // the cost of a message, and the capacity of the bucket; 0 means no limit
	perSecond, burst  float64       // in bytes; 0 means no limit
	tooMany, tooMuch  *websocket.CloseError
}

// newSendingBounds returns the limits of an endpoint, or nil if it has none.
func newSendingBounds(cfg *config.Endpoint) *sendingBounds {
	l := &cfg.Limits
	if !l.Sending() {
		return nil
	}
	b := &sendingBounds{
		tooMany: &websocket.CloseError{Code: websocket.CodePolicy, Reason: fmt.Sprintf("more than %g messages per second", l.MessagesPerSecond)},
		tooMuch: &websocket.CloseError{Code: websocket.CodePolicy, Reason: fmt.Sprintf("more than %v per second", l.BytesPerSecond)},
	}
	if l.MessagesPerSecond > 0 {
		b.message = time.Duration(float64(time.Second) / l.MessagesPerSecond)
		b.messages = max(time.Duration(l.Burst), b.message)
	}
	if l.BytesPerSecond > 0 {
		b.perSecond = float64(l.BytesPerSecond)
		b.burst = max(time.Duration(l.Burst).Seconds()*b.perSecond, float64(cfg.MaxMessage))
	}
	return b
}

// sending measures the messages of one client. It must not be used concurrently.
type sending struct {
	*sendingBounds // nil if there are no limits

	messageBucket, byteBucket limit.Bucket
}

// take counts a message. If the message exceeds a limit, take returns the error with which to close the connection.
func (s *sending) take(bytes int64, now time.Time) *websocket.CloseError {
	if s.sendingBounds == nil {
		return nil
	}
	if s.message > 0 && s.messageBucket.Take(now, s.message, s.messages) > 0 {
		return s.tooMany
	}
	if s.perSecond > 0 && s.byteBucket.Take(now, s.cost(float64(bytes)), s.cost(s.burst)) > 0 {
		return s.tooMuch
	}
	return nil
}

// cost returns the time that the given number of bytes takes at the allowed rate.
func (b *sendingBounds) cost(bytes float64) time.Duration {
	return time.Duration(bytes / b.perSecond * float64(time.Second))
}
