package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/loop"
)

// evHandler contains a test's callbacks for event connections.
type evHandler struct {
	Open    func(c *eventConn)
	Message func(c *eventConn, m Message)
	Close   func(c *eventConn, err error)
}

// evServer is a minimal server for event connections on its own listener.
type evServer struct {
	Handler     evHandler
	Options     AcceptOptions
	Loops       int
	HeadTimeout time.Duration
	MaxHead     int
	Panicked    func(value any, stack []byte)
	makeKernel  func() (loop.Kernel, error)

	once   sync.Once
	err    error
	kind   *eventKind
	ls     *eventLoops
	conns  atomic.Int64
	done   chan struct{}
	mu     sync.Mutex
	stops  []func()
	closed bool
	work   sync.WaitGroup
}

var errEvClosed = errors.New("the test's server is closed")

// evReceiver calls the callbacks of an evHandler.
type evReceiver struct {
	h     *evHandler
	c     *eventConn
	value any
}

func (r *evReceiver) Message(m Message) error {
	if r.h.Message != nil {
		r.h.Message(r.c, m)
	}
	return nil
}

func (r *evReceiver) Closed(err *CloseError) {
	if r.h.Close != nil {
		r.h.Close(r.c, err)
	}
}

// Value and SetValue associate a value with a connection.
func (c *eventConn) Value() any     { return c.inbox.r.(*evReceiver).value }
func (c *eventConn) SetValue(v any) { c.inbox.r.(*evReceiver).value = v }

// Block announces that the Receiver will block.
func (c *eventConn) Block() { c.inbox.outbox.link.fd.Block() }

// Err returns the error with which c has ended, or nil if c is open.
func (c *eventConn) Err() error {
	c.inbox.outbox.link.fd.Lock()
	defer c.inbox.outbox.link.fd.Unlock()
	if c.inbox.outbox.link.end == nil || c.inbox.outbox.link.end.final == nil {
		return nil
	}
	return c.inbox.outbox.link.end.final
}

func (c *eventConn) TLS() *tls.ConnectionState {
	sec := c.inbox.outbox.link.sec()
	if sec == nil {
		return nil
	}
	state := sec.ConnectionState()
	return &state
}

func valueOr[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

// configure prepares the configuration of the server's connections.
func (s *evServer) configure() error {
	o := &s.Options
	rules := opening.Rules{
		Origin:       handshake.OriginPolicy{Any: o.AnyOrigin, Allowed: o.Origins, Proxies: o.TrustedProxies},
		Subprotocols: o.Subprotocols, Header: o.Header,
	}
	if z := o.Conn.Compression; z != nil {
		rules.Deflate = opening.Deflate{
			On: true, ServerNoTakeover: z.ServerNoTakeover, ClientNoTakeover: z.ClientNoTakeover,
			ServerWindowBits: z.ServerWindowBits, ClientWindowBits: z.ClientWindowBits,
		}
	}
	if refused := rules.Check(); refused != nil {
		return refused
	}
	s.kind = &eventKind{
		opts: o.Conn.settings(), compression: o.Conn.Compression, subprotocols: o.Subprotocols, panicked: s.Panicked,
		open: func(to Sender) Receiver {
			c := to.(*eventConn)
			r := &evReceiver{h: &s.Handler, c: c}
			c.inbox.r = r
			if s.Handler.Open != nil {
				s.Handler.Open(c)
			}
			return r
		},
		onClosed: func() { s.conns.Add(-1) },
		opening: &eventOpening{
			rules: rules, headLimits: opening.Limits{Bytes: valueOr(s.MaxHead, opening.DefaultBytes)}, headTimeout: valueOr(s.HeadTimeout, 10*time.Second),
		},
	}
	return nil
}

func (s *evServer) start() error {
	s.once.Do(func() {
		s.done = make(chan struct{})
		if s.err = s.configure(); s.err != nil {
			return
		}
		var ls *loop.Loops
		if ls, s.err = loop.New(loop.Options{Loops: s.Loops, Kernel: s.makeKernel}); s.err == nil {
			s.ls = &eventLoops{ls}
		}
	})
	return s.err
}

func (s *evServer) countConn() bool {
	s.conns.Add(1)
	return true
}

// Len returns the number of open connections.
func (s *evServer) Len() int { return int(s.conns.Load()) }

// Serve accepts connections from l until Close or Shutdown.
func (s *evServer) Serve(l net.Listener) error {
	if err := s.start(); err != nil {
		l.Close()
		return err
	}
	defer l.Close()
	s.mu.Lock()
	stop, err := s.ls.listen(l, s.kind, s.countConn)
	if err == nil {
		s.stops = append(s.stops, stop)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	<-s.done
	return errEvClosed
}

// ServeTLS accepts connections from l with TLS.
func (s *evServer) ServeTLS(l net.Listener, config *tls.Config) error {
	if err := s.start(); err != nil {
		l.Close()
		return err
	}
	s.mu.Lock()
	s.stops = append(s.stops, func() { l.Close() })
	s.mu.Unlock()
	for {
		nc, err := l.Accept()
		if err != nil {
			return errEvClosed
		}
		s.mu.Lock()
		s.stops = append(s.stops, func() { nc.Close() })
		s.mu.Unlock()
		s.work.Go(func() {
			if s.tlsHandshake(nc, config) != nil {
				nc.Close()
			}
		})
	}
}

// tlsHandshake performs the TLS handshake, and then passes the connection to the loop.
func (s *evServer) tlsHandshake(nc net.Conn, config *tls.Config) error {
	if err := nc.SetDeadline(time.Now().Add(s.kind.opening.headTimeout)); err != nil {
		return err
	}
	t := tls.Server(transport.Accept(nc, nil), config)
	if err := t.Handshake(); err != nil {
		return err
	}
	s.conns.Add(1)
	c := new(eventConn)
	c.inbox.outbox.link.kind = s.kind
	return s.ls.register(c, t)
}

// Shutdown closes all connections with 1001 and waits until they have ended.
func (s *evServer) Shutdown(ctx context.Context) error {
	return s.drain(ctx, func(c *eventConn) {
		c.Shut(CodeGoingAway, "") //nolint:errcheck // Shut fails only for an invalid code
	})
}

// Close closes all connections immediately.
func (s *evServer) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.drain(ctx, func(c *eventConn) { c.CloseNow() }) //nolint:errcheck // drain only returns the error of the canceled context
	return nil
}

func (s *evServer) drain(ctx context.Context, end func(*eventConn)) error {
	if err := s.start(); err != nil {
		return err
	}
	s.mu.Lock()
	stops, over := s.stops, s.closed
	s.stops, s.closed = nil, true
	s.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	s.work.Wait()
	s.ls.each(end)
	if !over {
		close(s.done)
		s.ls.Stop()
	}
	ended := make(chan struct{})
	go func() { s.ls.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		s.ls.each(func(c *eventConn) { c.CloseNow() })
		return ctx.Err()
	}
}
