package websocket

import (
	"fmt"
	"os"
	"time"
)

// peerWatch judges a peer that may be gone. Twice in a PingInterval it gets what a look at the peer has found. A look that
// finds nothing heard since the one before asks for a ping: the peer has been silent for half an interval at least and a whole
// one at most. The third in a row gives up: more than one and at most two intervals have passed, one of them since the ping.
// A peer that takes what was sent before the ping is not silent; how much is in front of the ping in its own kernel cannot
// be seen, so that one that did so, and others where nothing can be seen, gets twice as long.
type peerWatch struct {
	quiet uint8 // looks in a row that found nothing heard
	slow  bool  // the ping may wait behind other data
}

const (
	quietPing = 1
	quietEnd  = 3
	slowEnd   = 2*quietEnd + 1
)

// look says what a look at the peer leads to: heard, that something has arrived since the last one; takes, that the peer has
// taken something of what was sent, and more is on its way.
func (w *peerWatch) look(heard, takes bool) (ping, dead bool) {
	switch {
	case heard:
		*w = peerWatch{}
	case takes:
		w.quiet = 0
	default:
		w.quiet++
	}
	return w.quiet == quietPing, w.quiet >= w.end()
}

func (w *peerWatch) end() uint8 {
	if w.slow {
		return slowEnd
	}
	return quietEnd
}

// silent is how a connection ends whose peer is silent.
func (w *peerWatch) silent(interval time.Duration) *CloseError {
	return &CloseError{Code: CodeAbnormal, ByPeer: true, Err: fmt.Errorf(
		"the peer was silent for %v or more, ping unanswered: %w", time.Duration(w.end())*interval/2, os.ErrDeadlineExceeded)}
}
