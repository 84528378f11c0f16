package transport

import (
	"errors"
	"net"

	"github.com/handfast/handfast/websocket/loop"
)

// Accepted is a connection that a server has accepted, with the client's address. An event loop can serve TLS on top of it.
type Accepted struct {
	loop.Under
	Remote net.Addr // the client's address as reported by a proxy; nil means the address of the connection
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

// Socket returns the underlying connection, which carries the same bytes but may have the address of a proxy. Code that only transfers
// bytes can use a socket of package net more efficiently than an Accepted.
func (a *Accepted) Socket() net.Conn { return a.Conn }

// CloseWrite closes the sending direction, if the connection supports that.
func (a *Accepted) CloseWrite() error {
	if half, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
