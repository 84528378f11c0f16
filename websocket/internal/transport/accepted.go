package transport

import (
	"errors"
	"net"

	"github.com/handfast/handfast/websocket/loop"
)

// Accepted is a connection that a server has accepted, with the client's address. TLS on it can be on an event loop.
type Accepted struct {
	loop.Under
	Remote net.Addr // the client's address where a proxy has named it; nil means the connection's own
}

// Accept returns nc as an Accepted. remote may be nil.
func Accept(nc net.Conn, remote net.Addr) *Accepted {
	return &Accepted{Under: loop.Under{Conn: nc}, Remote: remote}
}

// RemoteAddr returns the client's address.
func (a *Accepted) RemoteAddr() net.Addr {
	if a.Remote != nil {
		return a.Remote
	}
	return a.Conn.RemoteAddr()
}

// Socket returns the connection below, which has the same bytes, and an address that may be a proxy's. It is for those who carry bytes,
// and can do more with a socket of package net.
func (a *Accepted) Socket() net.Conn { return a.Conn }

// CloseWrite closes the sending half, where there are two.
func (a *Accepted) CloseWrite() error {
	if half, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
