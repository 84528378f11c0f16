package websocket

import (
	"errors"
	"fmt"
	"net"
)

// ErrConcurrentRead is returned by a read that begins while another goroutine is reading, or in a View.
var ErrConcurrentRead = errors.New("websocket: another goroutine is reading from this connection")

var errStaleReader = errors.New("websocket: this reader's message is over: another read has begun since")

// CloseError says how a connection ended. Once a connection has ended every call on it returns one, the same each time,
// and it is the cause of [Conn.Context].
//
// errors.Is(err, net.ErrClosed) holds when this end closed the connection.
type CloseError struct {
	Code   Code   // from the close frame that began it; CodeNoStatus when that had none; CodeAbnormal without one
	Reason string // from that frame: UTF-8, at most 123 bytes
	ByPeer bool   // the peer began: it sent its close frame first, broke the protocol, or vanished
	Err    error  // what went wrong: a *protocol.Violation, an I/O error; nil when the closing handshake is complete
}

// Error returns who closed, with which code and reason, and what went wrong.
func (e *CloseError) Error() string {
	s := "websocket: closed"
	if e.ByPeer {
		s += " by the peer"
	}
	if e.Code != 0 {
		s += " with " + e.Code.String()
	}
	if e.Reason != "" {
		s += fmt.Sprintf(" (%q)", e.Reason)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Clean reports whether the connection ended as connections should: with a closing handshake, begun by either end, and CodeNormal
// or CodeGoingAway. The handshake is complete when the peer's close frame has arrived and the kernel has ours: a peer that has sent
// CodeNormal, and to which the answer cannot be written, has not closed cleanly. What happens to the stream after that makes no
// difference.
func (e *CloseError) Clean() bool {
	return e.Err == nil && (e.Code == CodeNormal || e.Code == CodeGoingAway)
}

// Unwrap returns e.Err, and net.ErrClosed if this end closed the connection.
func (e *CloseError) Unwrap() []error {
	var errs []error
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	if !e.ByPeer {
		errs = append(errs, net.ErrClosed)
	}
	return errs
}

// CloseCode returns the code in err's CloseError, and 0 when there is none in it.
func CloseCode(err error) Code {
	var e *CloseError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
