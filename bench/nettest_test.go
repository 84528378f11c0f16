//go:build linux

package bench_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/handfast/handfast/websocket"
	wsloop "github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/netconn"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// Every net.Conn that the library passes to other code satisfies the contract of net.Conn: deadlines, addresses, concurrent calls.
// A connection over TLS cannot: crypto/tls documents that a write that times out ends it, and nettest continues to write.
func TestNetConns(t *testing.T) {
	for name, pipe := range map[string]nettest.MakePipe{
		"server, TLS callbacks":               func() (net.Conn, net.Conn, func(), error) { return tlsCallbackConn(false) },
		"server, TLS callbacks, PROXY header": func() (net.Conn, net.Conn, func(), error) { return tlsCallbackConn(true) },
		"server, HTTP pages":                  func() (net.Conn, net.Conn, func(), error) { return hijackedConn("") },
		"server, hijacked upgrade":            func() (net.Conn, net.Conn, func(), error) { return hijackedConn(upgradeFields) },
		"server, tunnel":                      tunnelConn,
		"netconn":                             func() (net.Conn, net.Conn, func(), error) { return webSocketConn(false) },
		"netconn, stream without deadlines":   func() (net.Conn, net.Conn, func(), error) { return webSocketConn(true) },
		"wstest":                              memoryConn,
		"below TLS on a loop":                 underConn,
	} {
		t.Run(name, func(t *testing.T) { nettest.TestConn(t, pipe) })
	}
}

// memoryConn returns the ends of a stream in memory.
func memoryConn() (c1, c2 net.Conn, stop func(), err error) {
	c1, c2 = wstest.NetPipe(0)
	return c1, c2, func() { c1.Close(); c2.Close() }, nil
}

// underConn returns a connection on which TLS can be served by an event loop, and its other end.
func underConn() (c1, c2 net.Conn, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	defer l.Close()
	if c1, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, nil, err
	}
	if c2, err = l.Accept(); err != nil {
		c1.Close()
		return nil, nil, nil, err
	}
	c2 = &wsloop.Under{Conn: c2}
	return c1, c2, func() { c1.Close(); c2.Close() }, nil
}

// webSocketConn returns a stream over a WebSocket, and its other end. If bare is true, the streams below the WebSocket have only the
// methods Read, Write and Close.
func webSocketConn(bare bool) (c1, c2 net.Conn, stop func(), err error) {
	ends := [2]net.Conn{}
	ends[0], ends[1] = wstest.NetPipe(0)
	for i, role := range []protocol.Role{protocol.RoleClient, protocol.RoleServer} {
		var rwc io.ReadWriteCloser = ends[i]
		if bare {
			rwc = struct{ io.ReadWriteCloser }{rwc}
		}
		c, err := websocket.NewConn(rwc, role, nil, nil)
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

// tlsCallbackConn returns the connection that GetCertificate sees, and its other end. If preface is true, the server replaces the client's
// address.
func tlsCallbackConn(preface bool) (c1, c2 net.Conn, stop func(), err error) {
	seen, over := make(chan net.Conn, 1), make(chan struct{})
	s := &websocket.Server{HTTP: &http.Server{Handler: new(websocket.Endpoint), ReadHeaderTimeout: time.Minute}}
	if preface {
		s.Preface = func(context.Context, net.Conn) (net.Addr, error) {
			return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, nil
		}
	}
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

// upgradeFields are header fields that request a WebSocket.
const upgradeFields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// hijackedConn returns the connection that Hijack returns to the handler of a request with some header fields, and its other end.
func hijackedConn(fields string) (c1, c2 net.Conn, stop func(), err error) {
	seen := make(chan net.Conn, 1)
	return handedOver(fields, seen, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			seen <- nc
		}
	}))
}

// tunnelConn returns the connection that an Endpoint passes to Admission.Tunnel, and its other end.
func tunnelConn() (c1, c2 net.Conn, stop func(), err error) {
	seen := make(chan net.Conn, 1)
	c1, c2, stop, err = handedOver(upgradeFields, seen, &websocket.Endpoint{Admit: func(*http.Request) (*websocket.Admission, error) {
		return &websocket.Admission{Tunnel: func(nc net.Conn, _ []byte) { seen <- nc }}, nil
	}})
	if err != nil {
		return nil, nil, nil, err
	}
	r := bufio.NewReader(c1) // the server sends nothing after the response
	for line := ""; err == nil && line != "\r\n"; {
		line, err = r.ReadString('\n')
	}
	return c1, c2, stop, err
}

// handedOver sends a request to a server, and returns the connection that the handler sends to seen, and its other end.
func handedOver(fields string, seen chan net.Conn, h http.Handler) (c1, c2 net.Conn, stop func(), err error) {
	s := &websocket.Server{HTTP: &http.Server{Handler: h}}
	c1, served, err := connectTo(s.Serve)
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err := c1.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")); err != nil {
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
