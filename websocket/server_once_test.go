package websocket

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
)

// oneReport serves s, which allows one connection in its handshake, and returns the address and a channel of reports.
func oneReport(t *testing.T, s *Server) (addr string, reports chan *HandshakeError) {
	type key struct{}
	reports = make(chan *HandshakeError, 8)
	s.MaxHandshakes = func(net.Addr) int { return 1 }
	s.HTTP.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, true) }
	s.Refused = func(ctx context.Context, _ string, _ *http.Request, err *HandshakeError) {
		if ctx.Value(key{}) == nil {
			t.Error("the context is not the connection's")
		}
		reports <- err
	}
	return serveOwn(t, s), reports
}

// A connection that is evicted while its header is arriving is reported only once.
func TestServer_EvictedOnce(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho})
	addr, reports := oneReport(t, s)
	for range 20 {
		slow := dialRaw(t, addr)
		io.WriteString(slow, "GET / HTTP/1.1\r\n")
		bounded.Until(t, func() bool { return s.Handshakes() == 1 })
		nc := dialRaw(t, addr)
		io.ReadAll(slow) // the error may be a reset
		io.WriteString(nc, sampleRequest+"\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || r.StatusCode != 101 {
			t.Fatal(r, err)
		}
		nc.Close()
		if err := bounded.Receive(t, reports); err.Stage != handshake.StageEvicted {
			t.Fatal(err)
		}
	}
	s.Shutdown(bounded.Context(t))
	if len(reports) > 0 {
		t.Errorf("also reported: %v", bounded.Receive(t, reports))
	}
}

// A rejected client whose connection lingers is not reported again when it is evicted. A connection that Close closes is not
// reported.
func TestServer_RefusedOnce(t *testing.T) {
	s := ownServer(&Endpoint{Serve: serveEcho})
	addr, reports := oneReport(t, s)
	refused := dialRaw(t, addr)
	io.WriteString(refused, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nbad name: x\r\n\r\n")
	if err := bounded.Receive(t, reports); err.Status != http.StatusBadRequest {
		t.Fatal(err)
	}
	half := dialRaw(t, addr)
	io.ReadAll(refused) // the error may be a reset
	io.WriteString(half, "GET /")
	bounded.Until(t, func() bool { return s.Handshakes() == 1 })
	s.Close()
	bounded.Receive(t, s.roster.idleChan())
	if len(reports) > 0 {
		t.Errorf("also reported: %v", bounded.Receive(t, reports))
	}
}

// closingConn is a connection that closes its Server when the time limit of the handshake is cleared.
type closingConn struct {
	net.Conn
	server *Server
	closed atomic.Bool
}

func (c *closingConn) SetDeadline(at time.Time) error {
	err := c.Conn.SetDeadline(at)
	if at.IsZero() {
		c.server.Close()
	}
	return err
}

func (c *closingConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// Close closes a connection that is being passed from the handshake to a handler.
func TestServer_CloseDuringTheHandover(t *testing.T) {
	for name, request := range map[string]string{"upgrade": sampleRequest + "\r\n", "page": "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			s := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}}
			ctx, cancel := context.WithCancel(bounded.Context(t))
			defer cancel()
			s.HTTP.BaseContext = func(net.Listener) context.Context { return ctx }
			p := newPipeListener()
			done := make(chan error, 1)
			go func() { done <- s.Serve(p) }()
			near, far := net.Pipe()
			defer near.Close()
			c := &closingConn{Conn: far, server: s}
			p.conns <- c
			io.WriteString(near, request)
			bounded.Receive(t, done)
			near.SetReadDeadline(time.Now().Add(testTimeout))
			if _, err := io.ReadAll(near); err != nil || !c.closed.Load() {
				t.Errorf("the connection is open: %v", err)
			}
			cancel()
			bounded.Receive(t, s.roster.idleChan())
		})
	}
}
