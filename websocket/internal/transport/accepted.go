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

// CloseWrite closes the sending half, where there are two.
func (a *Accepted) CloseWrite() error {
	if half, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
