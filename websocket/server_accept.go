package websocket

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/internal/accepting"
)

// source holds the state of one listener. It is also the listener from which HTTP accepts its connections.
type source struct {
	server   *Server
	listener net.Listener
	tls      func(context.Context, net.Conn) *tls.Config // nil means no TLS
	base     context.Context                             // the context of all requests

	conns chan net.Conn
	once  sync.Once
	ended chan struct{}

	work chan *arrival // passes connections to goroutines that have completed a handshake
	idle chan struct{} // holds one element for each of those goroutines that is waiting
}

// maxIdle bounds the number of goroutines that wait for a handshake. When that many are waiting, a goroutine ends after its
// handshake.
const maxIdle = 64

// serve is Serve with TLS for the connections for which config returns a configuration.
func (s *Server) serve(l net.Listener, config func(context.Context, net.Conn) *tls.Config) error {
	defer l.Close()
	if s.HTTP == nil {
		return errNoHTTP
	}
	s.start()
	src := &source{
		server: s, listener: l, tls: config, base: s.base(l), conns: make(chan net.Conn), ended: make(chan struct{}),
		work: make(chan *arrival), idle: make(chan struct{}, maxIdle),
	}
	if !s.addSource(src) {
		return http.ErrServerClosed
	}
	defer s.removeSource(src)
	go func() {
		s.HTTP.Serve(src) //nolint:errcheck // Serve returns when src ends
		src.end()
		s.roster.leave()
	}()
	defer src.end()
	if stop := src.listenOnLoop(); stop != nil {
		<-s.stop
		stop()
		return http.ErrServerClosed
	}
	return s.accept(l, func(nc net.Conn) { s.startHandshake(nc, src) })
}

// base returns the context of the requests that arrive through l.
func (s *Server) base(l net.Listener) context.Context {
	ctx := context.Background()
	if s.baseContext != nil {
		if ctx = s.baseContext(l); ctx == nil {
			panic("websocket: BaseContext returned a nil context")
		}
	}
	return context.WithValue(context.WithValue(ctx, serverKey{}, s), http.ServerContextKey, s.HTTP)
}

// addSource registers a listener. It returns false when the Server is closing.
func (s *Server) addSource(src *source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || !s.roster.enter() { // the roster counts the goroutine that runs HTTP.Serve
		return false
	}
	s.sources[src] = struct{}{}
	return true
}

func (s *Server) removeSource(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sources, src)
}

// accept accepts connections until the listener fails permanently.
func (s *Server) accept(l net.Listener, handle func(net.Conn)) error {
	var backoff accepting.Backoff
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			backoff.Reset()
			handle(nc)
			continue
		case s.stopped():
			return http.ErrServerClosed
		case accepting.After(err) == accepting.Stop:
			return err
		}
		pause := backoff.Next() // even before the next connection, because the listener may be of any type, and return the same error forever
		if s.HTTP.ErrorLog != nil {
			s.HTTP.ErrorLog.Printf("websocket: Accept error: %v; retrying in %v", err, pause)
		}
		select {
		case <-time.After(pause):
		case <-s.stop:
			return http.ErrServerClosed
		}
	}
}

// next waits for another handshake. It returns nil if enough other goroutines are already waiting, or if there will be no more
// handshakes.
func (src *source) next() *arrival {
	select {
	case src.idle <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-src.idle }()
	select {
	case a := <-src.work:
		return a
	case <-src.ended:
		return nil
	}
}

// Accept waits for the next connection for HTTP.
func (src *source) Accept() (net.Conn, error) {
	select {
	case nc := <-src.conns:
		return nc, nil
	case <-src.ended:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. Connections that were handed over stay open.
func (src *source) Close() error {
	src.end()
	return nil
}

func (src *source) end() { src.once.Do(func() { close(src.ended) }) }

// Addr returns the address of the listener to which clients connect.
func (src *source) Addr() net.Addr { return src.listener.Addr() }
