// Package accepting contains the rules of an accept loop: which errors a listener survives, and how long it pauses after them. The loops
// themselves differ, because one waits in a goroutine and the other in an event loop.
package accepting

import (
	"errors"
	"net"
	"time"
)

// Action is what to do after accept has failed.
type Action int

// The actions.
const (
	Stop  Action = iota // the listener has failed
	Next                // one connection has failed before it was accepted: accept the next one
	Pause               // the system lacks descriptors or memory, which changes when connections end: accept again after [Backoff.Next]
)

// After returns what to do after an error of accept.
func After(err error) Action {
	for _, e := range failedConnections {
		if errors.Is(err, e) {
			return Next
		}
	}
	for _, e := range lacks {
		if errors.Is(err, e) {
			return Pause
		}
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Temporary() { //nolint:staticcheck // Temporary is deprecated, but listeners still implement it
		return Pause
	}
	return Stop
}

// The shortest and the longest pause. Even the longest is short, so that a client does not give up.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Backoff determines the pauses of one accept loop: each is twice as long as the one before. The zero value is ready to use.
type Backoff struct{ last time.Duration }

// Next returns how long to pause after another error.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, minPause), maxPause)
	return b.last
}

// Reset makes the next pause the shortest again. It is called when a connection was accepted.
func (b *Backoff) Reset() { b.last = 0 }
