package websocket

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// wrappedListener is a listener that embeds a *net.TCPListener and whose Accept rejects the first connection.
type wrappedListener struct {
	*net.TCPListener
	accepted atomic.Int64
	wrap     func(*net.TCPConn) net.Conn
}

func (l *wrappedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if l.accepted.Add(1) > 1 {
			return l.wrap(nc), nil
		}
		nc.Close()
	}
}

// wrappedConn is a connection that embeds a *net.TCPConn and inverts all bytes on the way. If its Read or Write is bypassed, nothing
// that the other side sends is understood.
type wrappedConn struct{ *net.TCPConn }

func (c wrappedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	invert(p[:n])
	return n, err
}

func (c wrappedConn) Write(p []byte) (int, error) {
	q := append([]byte(nil), p...)
	invert(q)
	return c.TCPConn.Write(q)
}

func invert(p []byte) {
	for i := range p {
		p[i] = ^p[i]
	}
}

// The methods of a listener or a connection that embeds a TCP socket are not bypassed.
func TestServer_WrappedSocketsAreNotBypassed(t *testing.T) {
	for name, wrap := range map[string]func(*net.TCPConn) net.Conn{
		"listener":                func(c *net.TCPConn) net.Conn { return c },
		"listener and connection": func(c *net.TCPConn) net.Conn { return wrappedConn{c} },
	} {
		for way, e := range map[string]*Endpoint{"Serve": {Serve: serveEcho}, "Open": {Open: openEcho}} {
			for _, useTLS := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/TLS=%t", name, way, useTLS), func(t *testing.T) {
					tcp, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					l := &wrappedListener{TCPListener: tcp.(*net.TCPListener), wrap: wrap}
					s := ownServer(&Endpoint{Serve: e.Serve, Open: e.Open})
					url := "ws://" + tcp.Addr().String()
					serve := s.Serve
					if useTLS {
						url = "wss://" + tcp.Addr().String()
						s.HTTP.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
						serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
					}
					serveOn(t, s, l, serve)
					dial := func() (*Conn, error) {
						return Dial(bounded.Context(t), url, &DialOptions{
							Proxy: noProxy, TLS: &tls.Config{InsecureSkipVerify: true}, Conn: ConnOptions{MaxMessage: -1},
							DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
								nc, err := new(net.Dialer).DialContext(ctx, network, addr)
								if err != nil {
									return nil, err
								}
								return wrap(nc.(*net.TCPConn)), nil
							},
						})
					}
					if _, err := dial(); err == nil {
						t.Error("the listener's own Accept was bypassed")
					}
					c, err := dial()
					if err != nil {
						t.Fatal(err)
					}
					defer c.CloseNow()
					for _, text := range []string{"short", strings.Repeat("long ", maxCopied)} {
						if err := c.Write(bounded.Context(t), Message{Text, []byte(text)}); err != nil {
							t.Fatal(err)
						}
						if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != text {
							t.Errorf("%d bytes of %d came back, %v", len(m.Data), len(text), err)
						}
					}
					if n := l.accepted.Load(); n != 2 {
						t.Errorf("Accept returned %d connections", n)
					}
				})
			}
		}
	}
}
