package websocket

import (
	"fmt"
	"os"
	"time"
)

// peerWatch decides whether a peer is gone. Twice per PingInterval it gets the result of a check of the peer. If nothing was
// received since the previous check, it requests a ping: the peer has been silent for between half an interval and a whole one.
// After the third such check in a row it gives up: the peer has been silent for between one and two intervals, and one interval has
// passed since the ping. A peer that accepts data from before the ping is not silent. How much data precedes the ping in the peer's
// own kernel is unknown, so such a peer gets twice as long. On a system that does not report unsent data, a peer to which much data
// was sent also gets twice as long.
type peerWatch struct {
	quiet uint8 // the number of consecutive checks that found nothing received
	slow  bool  // the ping may be queued behind other data
}

const (
	quietPing = 1
	quietEnd  = 3
	slowEnd   = 2*quietEnd + 1
)

// check returns the consequence of a check of the peer. received means that something has arrived since the last check; accepting means
// that the peer has accepted some data, and more is on its way.
func (w *peerWatch) check(received, accepting bool) (ping, dead bool) {
	switch {
	case received:
		*w = peerWatch{}
	case accepting:
		w.quiet = 0
	default:
		w.quiet++
	}
	return w.quiet == quietPing, w.quiet >= w.maxQuiet()
}

func (w *peerWatch) maxQuiet() uint8 {
	if w.slow {
		return slowEnd
	}
	return quietEnd
}

// silentError returns the CloseError of a connection with a silent peer.
func (w *peerWatch) silentError(interval time.Duration) *CloseError {
	return &CloseError{Code: CodeAbnormal, ByPeer: true, Err: fmt.Errorf(
		"the peer was silent for %v or more, ping unanswered: %w", time.Duration(w.maxQuiet())*interval/2, os.ErrDeadlineExceeded)}
}
