//go:build linux

package bench_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/netconn"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// Every net.Conn that the library passes to other code satisfies the contract of net.Conn: deadlines, addresses, concurrent calls.
func TestNetConns(t *testing.T) {
	for name, pipe := range map[string]func() (c1, c2 net.Conn, stop func(), err error){
		"server, TLS callbacks": tlsCallbackConn,
		"server, HTTP pages":    pageConn,
		"netconn":               webSocketConn,
	} {
		t.Run(name, func(t *testing.T) { nettest.TestConn(t, pipe) })
	}
}

// webSocketConn returns a stream over a WebSocket, and its other end.
func webSocketConn() (c1, c2 net.Conn, stop func(), err error) {
	ends := [2]net.Conn{}
	ends[0], ends[1] = wstest.NetPipe(0)
	for i, role := range []protocol.Role{protocol.RoleClient, protocol.RoleServer} {
		c, err := websocket.NewConn(ends[i], role, nil, nil)
		if err != nil {
			return nil, nil, nil, err
		}
		ends[i] = netconn.New(c, websocket.Binary)
	}
	return ends[0], ends[1], func() {
		closed := make(chan struct{})
		go func() { // each Close waits for the Close of the other end
			ends[0].Close()
			close(closed)
		}()
		ends[1].Close()
		<-closed
	}, nil
}

var errEnough = errors.New("the test is over")

// tlsCallbackConn returns the connection that GetCertificate sees, and its other end.
func tlsCallbackConn() (c1, c2 net.Conn, stop func(), err error) {
	seen, over := make(chan net.Conn, 1), make(chan struct{})
	s := &websocket.Server{HTTP: &http.Server{Handler: new(websocket.Endpoint), ReadHeaderTimeout: time.Minute}}
	c1, served, err := connectTo(func(l net.Listener) error {
		s.HTTP.TLSConfig = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			seen <- h.Conn
			<-over
			return nil, errEnough
		}}
		return s.ServeTLS(l, "", "")
	})
	if err != nil {
		return nil, nil, nil, err
	}
	hello := &helloOnly{Conn: c1, done: over}
	greeted := make(chan struct{})
	go func() {
		defer close(greeted)
		tls.Client(hello, &tls.Config{ServerName: "localhost"}).Handshake() //nolint:errcheck // the handshake fails when the test ends
	}()
	stop = func() {
		close(over)
		c1.Close()
		c2.Close()
		<-greeted
		s.Close()
		<-served
	}
	c2 = <-seen
	if err := c2.SetDeadline(time.Time{}); err != nil {
		return nil, nil, nil, err
	}
	return c1, c2, stop, nil
}

// helloOnly sends a ClientHello and does not wait for a reply.
type helloOnly struct {
	net.Conn
	done chan struct{}
}

func (h *helloOnly) Read([]byte) (int, error) {
	<-h.done
	return 0, errEnough
}

func (h *helloOnly) Close() error { return nil }

// pageConn returns the connection that a Server passes to a page's handler, and its other end.
func pageConn() (c1, c2 net.Conn, stop func(), err error) {
	seen := make(chan net.Conn, 1)
	s := &websocket.Server{
		HTTP: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			nc, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				seen <- nc
			}
		})},
	}
	c1, served, err := connectTo(s.Serve)
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err := c1.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		return nil, nil, nil, err
	}
	c2 = <-seen
	return c1, c2, func() {
		c1.Close()
		c2.Close()
		s.Close()
		<-served
	}, nil
}

// connectTo returns a connection to a server, and a channel that is closed when the server has stopped.
func connectTo(serve func(net.Listener) error) (net.Conn, chan struct{}, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	served := make(chan struct{})
	go func() {
		serve(l) //nolint:errcheck // serve returns an error when the test closes the listener
		close(served)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	return nc, served, err
}
