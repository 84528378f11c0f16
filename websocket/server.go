package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/internal/opening"
)

// Server is a server for any http.Handler, optimized for WebSockets. It reads upgrade requests itself, at low cost, and calls the
// Handler with a lightweight ResponseWriter; all other requests, including HTTP/2, are passed to the wrapped http.Server, and so to
// the same Handler. To move from an http.Server, wrap it:
//
//	s := &websocket.Server{HTTP: &http.Server{Addr: ":8080", Handler: mux}}
//	err := s.ListenAndServe()
//
// When the Handler is an [Endpoint] without Admit, no http.Request is built at all.
//
// The fields are set before the first Serve and not changed afterwards. The methods are safe for concurrent use. A Server must
// not be copied after its first use.
type Server struct {
	// HTTP is required. Its Handler, TLSConfig, ErrorLog, BaseContext, ConnContext and ConnState also apply to upgrades, with the
	// net.Conn of the listener. ReadHeaderTimeout, or else ReadTimeout, bounds the time from the start of the connection to the end
	// of the first request's head, including Preface and the TLS handshake unless TLSTimeout is set; when both are 0, the limit is
	// 10 seconds. MaxHeaderBytes bounds the head. The Server wraps Handler, BaseContext, ConnContext and ConnState, and calls the
	// http.Server's Serve, Shutdown and Close.
	HTTP *http.Server

	// Loops is the number of event loops for the connections of Endpoints with Open. 0 means runtime.GOMAXPROCS.
	Loops int

	// Preface runs on each new connection before anything else is read from it. It reads exactly the bytes that a proxy sends
	// before the client's, such as the header of the PROXY protocol, and returns the client's address; nil means the address of the
	// connection. A non-nil error closes the connection, and is reported unless it is io.EOF or net.ErrClosed. ctx is the
	// connection's context, as ConnContext returned it. TLSTimeout, or else the time limit for the head, bounds Preface.
	Preface func(ctx context.Context, nc net.Conn) (remote net.Addr, err error)

	// TLS returns the TLS configuration for a new connection; nil means no TLS. The Server uses the configuration unchanged,
	// including NextProtos. A nil function means no TLS with Serve, and HTTP.TLSConfig with ServeTLS. nc is the connection of the
	// listener, or a wrapper with the RemoteAddr that Preface returned. ctx is the connection's context.
	TLS func(ctx context.Context, nc net.Conn) *tls.Config

	// TLSTimeout bounds Preface and the TLS handshake together; the time limit for the head then begins after them. 0 means that
	// the time limit for the head covers Preface and the TLS handshake, too.
	TLSTimeout time.Duration

	// MaxHandshakes returns the maximum number of connections that are in a handshake or between two requests for pages. It is
	// called for each new connection with the client's address; a negative result means that this connection does not count. If
	// there are more, the oldest connection of the address with the most connections is closed, and reported with the stage
	// handshake.StageEvicted. A nil function means 4096, except if an event loop accepts the connections itself, which it does for an
	// Endpoint with Open that needs no request (without Admit and Check, and without TLS, Preface and the hooks of HTTP that need a
	// net.Conn): there a connection in its handshake costs as little as an idle one, and only the time limit for the head bounds their
	// number. The Server never stops accepting.
	MaxHandshakes func(remote net.Addr) int

	// CountPages makes connections also count toward MaxHandshakes while a response to a request for a page is in progress, so that
	// endless request bodies do not evade the limit. It is for handlers that respond quickly: a long download or an event stream
	// may be closed.
	CountPages bool

	Hooks

	once    sync.Once
	stop    chan struct{} // closed when the Server accepts no more connections
	waiting waiting
	loops   lazyLoops
	roster  roster // the connections, and the handlers that run on their behalf

	// The values of HTTP's fields before the Server wrapped them.
	baseContext func(net.Listener) context.Context
	connContext func(context.Context, net.Conn) context.Context
	connState   func(net.Conn, http.ConnState)
	handler     http.Handler

	mu           sync.Mutex
	closing      bool
	sources      map[*source]struct{}
	tlsHTTPConns map[*tls.Conn]*httpConn // TLS connections that were passed to HTTP without a wrapper, for HTTP/2
	pending      map[pending]bool        // connections without a complete, answered request; true if Shutdown cuts the connection
}

const (
	defaultHeadTimeout   = 10 * time.Second
	defaultMaxHandshakes = 4096
	maxHead              = opening.DefaultBytes // longer heads are left to HTTP
)

var errNoHTTP = errors.New("websocket: Server.HTTP is not set")

// pending is a connection whose handshake is not complete.
type pending interface{ abort() }

// serverKey is the key of the *Server in the context of a request.
type serverKey struct{}

// serverOf returns the Server that a request arrived through, or nil if there is none.
func serverOf(ctx context.Context) *Server {
	s, _ := ctx.Value(serverKey{}).(*Server)
	return s
}

// start initializes the fields that the zero value lacks.
func (s *Server) start() {
	s.once.Do(func() {
		s.stop = make(chan struct{})
		s.sources = map[*source]struct{}{}
		s.pending = map[pending]bool{}
		s.tlsHTTPConns = map[*tls.Conn]*httpConn{}
		if s.HTTP != nil {
			s.wrapHooks()
		}
	})
}

// Serve accepts connections on l until Shutdown or Close is called, and then returns http.ErrServerClosed, or until l fails
// permanently. It always closes l. It may be called for several listeners concurrently. A listener whose Accept returns *tls.Conn,
// like one made by tls.NewListener, is served with TLS.
//
// When the Handler is an Endpoint with Open and without Admit, and no hook asks for the net.Conn, the event loop accepts
// connections from l's socket directly, on a descriptor of its own. In that case Shutdown and Close end Serve, and closing l alone
// does not.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, s.TLS) }

// ServeTLS is Serve with TLS on l. The certificate comes from the two files, or from HTTP.TLSConfig when they are "".
func (s *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	if s.HTTP == nil {
		l.Close()
		return errNoHTTP
	}
	if s.TLS != nil {
		return s.serve(l, s.TLS)
	}
	config, err := s.tlsConfig(certFile, keyFile)
	if err != nil {
		l.Close()
		return err
	}
	return s.serve(l, func(context.Context, net.Conn) *tls.Config { return config })
}

// tlsConfig returns HTTP's TLS configuration as http.Server would use it.
func (s *Server) tlsConfig(certFile, keyFile string) (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.HTTP.TLSConfig != nil {
		config = s.HTTP.TLSConfig.Clone()
	}
	config.NextProtos = slices.Clone(config.NextProtos)
	p := s.HTTP.Protocols
	for _, proto := range []struct {
		name string
		on   bool
	}{
		{"h2", p == nil && (s.HTTP.TLSNextProto == nil || s.HTTP.TLSNextProto["h2"] != nil) || p != nil && p.HTTP2()},
		{"http/1.1", p == nil || p.HTTP1()},
	} {
		if proto.on && !slices.Contains(config.NextProtos, proto.name) {
			config.NextProtos = append(config.NextProtos, proto.name)
		}
	}
	if certFile != "" || keyFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if s.HTTP.TLSConfig != nil && slices.Contains(config.NextProtos, "h2") {
		s.HTTP.TLSConfig = config // http.Server speaks HTTP/2 only if its own configuration includes it
	}
	return config, nil
}

// ListenAndServe is Serve on the TCP address HTTP.Addr, ":http" if that is "".
func (s *Server) ListenAndServe() error {
	l, err := s.listen(":http")
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// ListenAndServeTLS is ServeTLS on the TCP address HTTP.Addr, ":https" if that is "".
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	l, err := s.listen(":https")
	if err != nil {
		return err
	}
	return s.ServeTLS(l, certFile, keyFile)
}

func (s *Server) listen(standard string) (net.Listener, error) {
	if s.HTTP == nil {
		return nil, errNoHTTP
	}
	if s.stopped() {
		return nil, http.ErrServerClosed
	}
	address := s.HTTP.Addr
	if address == "" {
		address = standard
	}
	return net.Listen("tcp", address)
}

func (s *Server) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// headTimeout returns the time limit for a client's handshake.
func (s *Server) headTimeout() time.Duration {
	switch h := s.HTTP; {
	case h.ReadHeaderTimeout > 0:
		return h.ReadHeaderTimeout
	case h.ReadTimeout > 0:
		return h.ReadTimeout
	}
	return defaultHeadTimeout
}

// Handshakes returns the number of connections that currently count toward MaxHandshakes.
func (s *Server) Handshakes() int { return s.waiting.len() }

// headBytes returns the maximum size of a request's head that this package reads. Longer heads are left to HTTP, which has its own
// limit.
func (s *Server) headBytes() int {
	if n := s.HTTP.MaxHeaderBytes; n > 0 {
		return min(n, maxHead)
	}
	return maxHead
}

// register registers a connection that Accept has made in a handler, so that a Shutdown closes it.
func (s *Server) register(c *Conn) {
	m := new(member)
	m.join(c, &s.roster)
	c.mu.Lock()
	ended := c.closeErr != nil
	if !ended {
		c.member = m
	}
	c.mu.Unlock()
	if ended {
		m.leave()
	}
}

// Shutdown closes the listeners and the connections in their handshake, concurrently closes every WebSocket that came through the
// Server, with CodeGoingAway, and waits until their Serve functions, Receivers and handlers have returned and HTTP has shut down. If
// ctx ends first, the remaining connections are cut, and Shutdown returns ctx's error. Connections that a handler has hijacked must
// be closed by that handler.
func (s *Server) Shutdown(ctx context.Context) error {
	s.halt(false)
	err := s.roster.shutdown(ctx, func() error {
		s.loops.each(func(c *eventConn) { c.Shut(CodeGoingAway, "") }) //nolint:errcheck // Shut fails only for an invalid code
		if s.HTTP == nil {
			return nil
		}
		return s.HTTP.Shutdown(ctx)
	})
	if ctx.Err() != nil {
		s.Close() //nolint:errcheck // Close always returns nil
	}
	s.loops.stop(err == nil)
	return err
}

// Close closes the listeners and cuts all connections, including HTTP. It does not wait, and returns nil.
func (s *Server) Close() error {
	s.halt(true)
	s.roster.cut()
	s.loops.each(func(c *eventConn) { c.CloseNow() }) //nolint:errcheck // CloseNow always returns nil
	s.loops.stop(false)
	if s.HTTP != nil {
		s.HTTP.Close()
	}
	return nil
}

// halt stops accepting, and cuts the connections in their handshake. If all is set, it also cuts the connections whose request a
// handler is serving.
func (s *Server) halt(all bool) {
	s.start()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.closing = true
		close(s.stop)
	}
	for src := range s.sources {
		src.listener.Close()
	}
	for p, cutOnShutdown := range s.pending {
		if cutOnShutdown || all {
			p.abort()
		}
	}
}
