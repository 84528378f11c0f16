package websocket

import (
	"context"
	"crypto/tls"
	"net"
)

// Listen is net.Listen for a [Server]. Its TCP connections are without TCP's own keep-alive, which costs four system calls
// for each of them: a Conn's pings find a peer that is gone. Those that turn out to be for HTTP get it when Serve hands
// them over, or ServeTLS; they know the listener by its type, so nothing may be wrapped around it. Take another listener
// when something is, when PingInterval is negative, and for other servers.
func Listen(network, address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	if t, ok := l.(*net.TCPListener); ok {
		return &silentListener{t}, nil
	}
	return l, nil
}

// silentListener marks a listener whose connections have no keep-alive.
type silentListener struct{ *net.TCPListener }

// keepAlive gives nc the keep-alive that net gives every connection.
func keepAlive(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}) //nolint:errcheck // a connection that is gone shows so by itself
	}
}

// ListenAndServe is Serve on the TCP address, ":http" when that is empty.
func (s *Server) ListenAndServe(address string) error {
	l, err := s.listen(address, ":http")
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// ListenAndServeTLS is ServeTLS on the TCP address, ":https" when that is empty. config holds the certificate.
func (s *Server) ListenAndServeTLS(address string, config *tls.Config) error {
	l, err := s.listen(address, ":https")
	if err != nil {
		return err
	}
	return s.ServeTLS(l, config)
}

func (s *Server) listen(address, standard string) (net.Listener, error) {
	if address == "" {
		address = standard
	}
	if s.Accept.Conn.PingInterval < 0 {
		return net.Listen("tcp", address)
	}
	return Listen("tcp", address)
}
