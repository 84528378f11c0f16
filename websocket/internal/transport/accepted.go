package transport

import (
	"errors"
	"net"
)

// Accepted is a connection that a server has accepted, with the client's address.
type Accepted struct {
	net.Conn
	Remote net.Addr // the client's address where a proxy has named it; nil: the connection's own
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
