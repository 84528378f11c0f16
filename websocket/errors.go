package websocket

import (
	"errors"
	"fmt"
	"net"
)

// ErrConcurrentRead is returned by a read that begins while another goroutine is reading, or in a View.
var ErrConcurrentRead = errors.New("websocket: another goroutine is reading from this connection")

// ErrStaleReader is returned by an [io.Reader] from [Conn.Reader] that is used after the next read began.
var ErrStaleReader = errors.New("websocket: this reader's message is over: another read has begun since")

// CloseError says how a connection ended. Once a connection has ended every call on it returns one, the same each time,
// and it is the cause of [Conn.Context].
//
// errors.Is(err, net.ErrClosed) holds when this end closed the connection.
type CloseError struct {
	Code   Code   // from the close frame that began it; CodeNoStatus when that had none; CodeAbnormal without one
	Reason string // from that frame: UTF-8, at most 123 bytes
	ByPeer bool   // the peer began: it sent its close frame first, broke the protocol, or vanished
	Err    error  // what went wrong: a *ProtocolError, an I/O error; nil after a closing handshake in good order
}

// Error tells who closed, with which code and reason, and what went wrong.
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

// Clean reports whether the connection ended as connections should: with a closing handshake, begun by whichever end,
// and CodeNormal or CodeGoingAway.
func (e *CloseError) Clean() bool {
	return e.Err == nil && (e.Code == CodeNormal || e.Code == CodeGoingAway)
}

// Unwrap returns e.Err.
func (e *CloseError) Unwrap() error { return e.Err }

// Is reports whether target is net.ErrClosed and this end closed the connection.
func (e *CloseError) Is(target error) bool { return target == net.ErrClosed && !e.ByPeer }

// CloseCode returns the code in err's CloseError, and 0 when there is none in it.
func CloseCode(err error) Code {
	var e *CloseError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// ProtocolError says which rule of the protocol the peer broke. It stands in a [CloseError].
type ProtocolError struct {
	Section string // the clause: "RFC 6455 §5.1"
	Code    Code   // what the close frame told the peer
	Detail  string // what the peer did
}

// Error names the clause and what happened.
func (e *ProtocolError) Error() string { return e.Detail + " (" + e.Section + ")" }
