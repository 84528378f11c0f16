package websocket

import (
	"errors"
	"fmt"
	"net"

	"github.com/handfast/handfast/websocket/protocol"
)

// ErrConcurrentRead is returned by a read that begins while another goroutine is reading, or during a View.
var ErrConcurrentRead = errors.New("websocket: another goroutine is reading from this connection")

var errStaleReader = errors.New("websocket: this reader's message is over: a later read has begun")

// CloseError describes the end of a connection. Once a connection has ended, every call on it returns the same CloseError,
// which is also the cause of [Conn.Context].
//
// errors.Is(err, net.ErrClosed) holds when this end closed the connection.
type CloseError struct {
	Code   Code   // the code of the first close frame; CodeNoStatus if that frame had none; CodeAbnormal without a close frame
	Reason string // the reason in that frame: UTF-8, at most 123 bytes
	ByPeer bool   // the peer sent its close frame first, violated the protocol, or disappeared
	Err    error  // the cause: a *protocol.Violation or an I/O error; nil if the closing handshake is complete
}

// Error returns which end closed the connection, the code and reason, and the cause. If the peer violated the protocol, the cause is
// the violation, and the close frame came from this end.
func (e *CloseError) Error() string {
	s := "websocket: closed"
	if v := (*protocol.Violation)(nil); e.ByPeer && !errors.As(e.Err, &v) {
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

// Clean reports whether the connection ended with a closing handshake, started by either end, and CodeNormal or CodeGoingAway. The
// handshake is complete when the peer's close frame has arrived and the kernel has accepted ours: if the reply to the peer's
// CodeNormal cannot be written, the end is not clean. Later events on the stream make no difference.
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

// CloseCode returns the code of the CloseError in err, and 0 if err does not wrap one.
func CloseCode(err error) Code {
	var e *CloseError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
