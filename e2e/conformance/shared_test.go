package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// shared contains servers of one kind, one for each configuration. Cases with the same configuration share a server concurrently.
// Data of one connection that a bug leaves in shared memory would thus appear on another connection.
type shared struct {
	start func(ln net.Listener, s setup, h *sharedServer) (serve func() error, shutdown func(context.Context) error)

	mu      sync.Mutex
	servers map[setup]*sharedServer
}

// setup is the configuration of a server.
type setup struct {
	limit         int64
	compress, tls bool
}

// sharedServer is a running server.
type sharedServer struct {
	addr     string
	conns    sync.Map // the *sharedConn of each remote address
	shutdown func(context.Context) error
	serveErr chan error // the result of Serve
}

// sharedConn is a connection that a case has opened.
type sharedConn struct {
	ctx  context.Context
	app  app
	done chan error
}

// conn returns the connection with the address remote, or nil if there is none.
func (h *sharedServer) conn(remote string) *sharedConn {
	if g, ok := h.conns.Load(remote); ok {
		return g.(*sharedConn)
	}
	return nil
}

// run connects the peer to the server that the case needs.
func (s *shared) run(ctx context.Context, c testCase, how cut) error {
	h, err := s.server(setup{c.app.limit, c.app.compress, how == overTLS})
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", h.addr)
	if err != nil {
		return err
	}
	g := &sharedConn{ctx, c.app, make(chan error, 1)}
	h.conns.Store(conn.LocalAddr().String(), g)
	defer h.conns.CompareAndDelete(conn.LocalAddr().String(), g) // the address may already belong to another connection
	if how == overTLS {
		_, client := tlsConfigs()
		conn = tls.Client(conn, client)
	}
	defer conn.Close()
	p := newPeer(conn, testServer, how)
	p.openAsClient(h.addr, c.ext)
	return playOut(p, c, g.done)
}

// server returns the server for a setup, and starts it if it is not running yet.
func (s *shared) server(with setup) (*sharedServer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.servers[with]; h != nil {
		return h, nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &sharedServer{addr: ln.Addr().String(), serveErr: make(chan error, 1)}
	serve, shutdown := s.start(ln, with, h)
	h.shutdown = shutdown
	go func() { h.serveErr <- serve() }()
	if s.servers == nil {
		s.servers = map[setup]*sharedServer{}
	}
	s.servers[with] = h
	return h, nil
}

// shutDown stops all servers. It must be called when all connections have ended.
func (s *shared) shutDown(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout) // the context of the test is done
	defer cancel()
	for with, h := range s.servers {
		if err := h.shutdown(ctx); err != nil {
			t.Errorf("shut down the server for %+v: %v", with, err)
		}
		err := bounded.Receive(t, h.serveErr)
		if !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server for %+v ended with: %v", with, err)
		}
	}
}

// startServer starts a websocket.Server whose handler reads the messages.
func startServer(ln net.Listener, with setup, h *sharedServer) (func() error, func(context.Context) error) {
	return startEndpoint(ln, with, &websocket.Endpoint{Serve: func(c *websocket.Conn) {
		if g := h.conn(c.Handshake().RemoteAddr); g != nil {
			g.done <- loop(g.ctx, c, g.app)
		}
	}})
}

// startRun starts a websocket.Server that receives messages as events on a goroutine for each connection.
func startRun(ln net.Listener, with setup, h *sharedServer) (func() error, func(context.Context) error) {
	return startEndpoint(ln, with, &websocket.Endpoint{Serve: func(c *websocket.Conn) {
		if g := h.conn(c.Handshake().RemoteAddr); g != nil {
			c.Run(g.ctx, func(s websocket.Sender) websocket.Receiver { return &receiver{s, g} })
		}
	}})
}

// startEvents starts a websocket.Server that receives messages as events.
func startEvents(ln net.Listener, with setup, h *sharedServer) (func() error, func(context.Context) error) {
	return startEndpoint(ln, with, &websocket.Endpoint{Open: func(c websocket.Sender) websocket.Receiver {
		g := h.conn(c.RemoteAddr().String())
		if g == nil {
			c.CloseNow()
			return nil
		}
		return &receiver{c, g}
	}})
}

// startEndpoint starts a websocket.Server with one endpoint.
func startEndpoint(ln net.Listener, with setup, e *websocket.Endpoint) (func() error, func(context.Context) error) {
	e.Accept.Conn = connOptions(app{limit: with.limit, compress: with.compress})
	s := &websocket.Server{HTTP: &http.Server{ReadHeaderTimeout: readTimeout, Handler: e}}
	if with.tls {
		s.HTTP.TLSConfig, _ = tlsConfigs()
		return func() error { return s.ServeTLS(ln, "", "") }, s.Shutdown
	}
	return func() error { return s.Serve(ln) }, s.Shutdown
}

// receiver handles the events of a connection.
type receiver struct {
	c websocket.Sender
	g *sharedConn
}

// Message echoes the message. With half of the methods it waits first, so that another goroutine takes over the event loop.
func (r *receiver) Message(m websocket.Message) error {
	if r.g.app.calls == byStream || r.g.app.calls == byMessages {
		<-time.After(time.Millisecond)
	}
	if r.g.app.closeCode != 0 {
		return r.c.Shut(websocket.Code(r.g.app.closeCode), r.g.app.reason)
	}
	return r.c.Send(m)
}

func (r *receiver) Closed(err *websocket.CloseError) { r.g.done <- err }
