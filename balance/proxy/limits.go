package proxy

import "time"

// The reasons of the close frames, with code 1001, for connections that have reached a limit.
const (
	ReasonIdle     = "idle for too long"                   // for TunnelOptions.Idle
	ReasonLifetime = "the connection reached its lifetime" // for TunnelOptions.Lifetime
	ReasonSilent   = "silent for too long"                 // for TunnelOptions.Ping
)

// limits are the time limits of a connection that is carried by bytes or by messages. The zero value means no limits.
type limits struct {
	idle    time.Duration // maximum time without activity
	expires time.Duration // when the lifetime ends
}

// reached returns the reason of the close frame if a limit is reached, otherwise "" and when the first limit will be, or 0 for never.
// active is the time of the last activity. All times are of the same clock.
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
