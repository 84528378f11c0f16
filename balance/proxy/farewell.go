package proxy

import (
	"fmt"
	"time"

	"github.com/handfast/handfast/websocket"
)

// Cause is the reason why a client has to reconnect.
type Cause string

// The causes, in the words of the default close frame.
const (
	CauseMoved      Cause = "moved to another server"                          // its server drains or has too many connections, and another one is ready
	CauseNoServer   Cause = "no other server accepts clients"                  // like CauseMoved or CauseLost, but no other server is ready
	CauseNotResumed Cause = "the connection cannot continue on another server" // the connection is held, but cannot be resumed
	CauseLost       Cause = "the server is gone"                               // the server ended the connection without a close frame
)

// Farewell describes the end of a connection whose client should reconnect.
type Farewell struct {
	Cause       Cause
	Subprotocol string        // "" if there is none
	Path        string        // path of the client's request
	RetryAfter  time.Duration // when the client should reconnect: a random time below 3 seconds
}

// Frame returns the default close frame: 1012, service restart (RFC 6455 §7.4.2, IANA), with the cause and the time after which to
// reconnect.
func (f Farewell) Frame() (websocket.Code, string) {
	return websocket.CodeServiceRestart, fmt.Sprintf("%s; retry-after=%.1f", f.Cause, f.RetryAfter.Seconds())
}

// farewell returns the close frame for the client.
func (c *Conn) farewell(cause Cause) (websocket.Code, string) {
	frame := c.balancer.set.Load().Farewell
	if frame == nil {
		frame = Farewell.Frame
	}
	return frame(Farewell{cause, c.subprotocol, c.path, retryAfter()})
}

// sendFarewell sends the client its close frame, if the connection is already carried.
func (c *Conn) sendFarewell(cause Cause) {
	_ = c.Shut(c.farewell(cause)) // if the connection has ended, that is as good as a move
}

// lostFrame returns the close frame for the client if its server has ended the connection without one.
func (c *Conn) lostFrame() (websocket.Code, string) { return c.farewell(CauseLost) }

// causeOf returns the cause for a held client that no other server has accepted because of err.
func causeOf(err error) Cause {
	if isPermanent(err) {
		return CauseNotResumed
	}
	return CauseNoServer
}
