package proxy

import "time"

// The reasons of the close frames that are sent, with 1001, when a connection has reached a limit.
const (
	ReasonIdle     = "idle for too long"                   // TunnelOptions.Idle
	ReasonLifetime = "the connection reached its lifetime" // TunnelOptions.Lifetime
	ReasonSilent   = "silent for too long"                 // TunnelOptions.Ping
)

// limits bound the time of a connection, whether its bytes are carried or its messages. The zero value bounds nothing.
type limits struct {
	idle    time.Duration // without anything that counts
	expires time.Duration // when the lifetime is over
}

// reached returns the reason of the close frame if a limit is reached, otherwise "" and when the first one will be, 0 for never. active is
// when something arrived last that counts. All times are of one clock.
func (l limits) reached(active, now time.Duration) (reason string, next time.Duration) {
	if l.idle > 0 {
		if next = active + l.idle; now >= next {
			return ReasonIdle, 0
		}
	}
	if l.expires > 0 {
		if now >= l.expires {
			return ReasonLifetime, 0
		}
		if next == 0 || l.expires < next {
			next = l.expires
		}
	}
	return "", next
}
