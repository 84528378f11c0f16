package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves WebSockets on a listener of its own, and the pages beside them. It reads the requests itself, by the same
// rules as [Accept]; what asks for no WebSocket goes, with all its bytes, to an ordinary http.Server on the same port. An
// upgrade costs less than with net/http, and leaves nothing of HTTP behind: the Handler runs in a goroutine with a fresh
// stack.
//
// The fields are set before the first Serve and not changed afterwards. The methods may be called from any goroutine. A
// Server is an [http.Handler] too, for upgrades that come by another way: on a connection that has fetched a page before,
// or on another port.
type Server struct {
	// Handler talks to a client that was let in. When it returns, the connection is closed with CodeNormal, unless it has
	// ended by then. A panic in it is the program's, as in any goroutine.
	Handler func(*Conn)

	// Accept says whom to let in, and how. A request as net/http has it is built only for its Check; that one's Context
	// ends with Close, or when Shutdown gives up.
	Accept AcceptOptions

	// Paths are the paths at which WebSockets are opened, "/chat". An upgrade at another path is not ours: it goes to HTTP,
	// or is answered with 404. nil means every path.
	Paths []string

	// HTTP serves all requests that ask for no WebSocket, HTTP/2 included, with its own limits and timeouts. It must not
	// serve another listener when Serve is first called. nil: such requests are answered with 426.
	HTTP *http.Server

	// Refused is told of every client that was not let in, and why. It is called from many goroutines at once, and must
	// return soon; remote is the address that it came from. nil: nobody is told. Clients that connect and send nothing are
	// not worth telling.
	Refused func(remote string, err *HandshakeError)

	// HeadTimeout bounds how long a client may take from connecting, or from its first byte of TLS, to the end of its
	// request's head, and from there to taking the answer. 0 means 10 seconds.
	HeadTimeout time.Duration

	// MaxHead bounds the head of the first request on a connection, in bytes. 0 means 16 KiB. There may be 100 header lines.
	MaxHead int

	// MaxHandshakes bounds how many connections may be in their handshake at once. More wait in the kernel's queue. 0 means
	// 4096.
	MaxHandshakes int

	mu        sync.Mutex
	started   bool
	closing   bool
	listeners map[net.Listener]struct{}
	openings  ring[*arrival] // connections in their handshake
	sessions  ring[*session] // connections that were let in
	active    int            // goroutines of both
	idle      chan struct{}  // closed when closing is set and none of them is left
	stop      chan struct{}  // closed when closing is set
	slots     chan struct{}
	base      context.Context // of all requests for Check
	cancel    context.CancelFunc
}

const (
	defaultHeadTimeout   = 10 * time.Second
	defaultMaxHandshakes = 4096
)

var errNoHandler = errors.New("websocket: a Server without a Handler")

// Serve lets clients in that come on l until Shutdown or Close, and then returns http.ErrServerClosed; or until l fails. It
// closes l in any case. It may be called for several listeners at once. A listener that yields *tls.Conn, as tls.NewListener
// makes them, is served with TLS.
func (s *Server) Serve(l net.Listener) error {
	_, silent := l.(*silentListener)
	return s.serve(l, silent)
}

// serve is Serve. silent says that the connections have no keep-alive.
func (s *Server) serve(l net.Listener, silent bool) error {
	defer l.Close()
	if s.Handler == nil {
		return errNoHandler
	}
	if !s.begin(l) {
		return http.ErrServerClosed
	}
	defer s.forget(l)
	pages := s.serveHTTP(l)
	pages.silent = silent
	defer pages.end()
	var pause time.Duration
	for {
		select {
		case s.slots <- struct{}{}:
		case <-s.stop:
			return http.ErrServerClosed
		}
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.open(nc, pages)
			continue
		}
		<-s.slots
		if s.stopped() {
			return http.ErrServerClosed
		}
		// Out of descriptors, most often: it passes, when connections end.
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Temporary() { //nolint:staticcheck // deprecated, and yet what a listener tells
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-s.stop:
			return http.ErrServerClosed
		}
	}
}

// ServeTLS is Serve with TLS on l. When config names no protocols for ALPN, HTTP/2 is offered for the pages of HTTP, and
// HTTP/1.1.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error {
	if len(config.NextProtos) == 0 {
		config = config.Clone()
		config.NextProtos = []string{"http/1.1"}
		if s.HTTP != nil {
			config.NextProtos = []string{"h2", "http/1.1"}
		}
	}
	_, silent := l.(*silentListener)
	return s.serve(tls.NewListener(l, config), silent)
}

// begin notes a listener. It returns false when the Server is closing.
func (s *Server) begin(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start()
	if s.closing {
		return false
	}
	if s.listeners == nil {
		s.listeners = map[net.Listener]struct{}{}
	}
	s.listeners[l] = struct{}{}
	if s.HTTP != nil {
		s.active++ // for the goroutine of serveHTTP
	}
	return true
}

// start makes what the zero value lacks. mu is held.
func (s *Server) start() {
	if s.started {
		return
	}
	s.started = true
	most := s.MaxHandshakes
	if most <= 0 {
		most = defaultMaxHandshakes
	}
	s.slots = make(chan struct{}, most)
	s.stop = make(chan struct{})
	s.idle = make(chan struct{})
	s.base, s.cancel = context.WithCancel(context.Background())
}

func (s *Server) forget(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) headTimeout() time.Duration {
	if s.HeadTimeout > 0 {
		return s.HeadTimeout
	}
	return defaultHeadTimeout
}

// Shutdown closes the listeners and the connections in their handshake, closes every WebSocket with CodeGoingAway, all at
// once, and waits until their Handlers have returned and until HTTP has shut down. When ctx ends first, what is left is
// closed at once, and the error is ctx's.
func (s *Server) Shutdown(ctx context.Context) error {
	open := s.halt()
	pages := make(chan error, 1)
	go func() {
		var err error
		if s.HTTP != nil {
			err = s.HTTP.Shutdown(ctx)
		}
		pages <- err
	}()
	for _, c := range open {
		go c.Close(CodeGoingAway, "") //nolint:errcheck // the Handler hears how it ended
	}
	select {
	case <-s.idle:
	case <-ctx.Done():
	}
	err := <-pages
	select {
	case <-s.idle:
		s.cancel()
		return err
	default:
		s.abort()
		return ctx.Err()
	}
}

// Close closes the listeners, all connections and HTTP at once, and waits for nothing. Peers see their connections break
// off: Shutdown is the polite way. It returns nil.
func (s *Server) Close() error {
	s.abort()
	return nil
}

func (s *Server) abort() {
	for _, c := range s.halt() {
		c.CloseNow()
	}
	s.cancel()
	if s.HTTP != nil {
		s.HTTP.Close()
	}
}

// halt stops accepting, and ends the handshakes that are under way. It returns the connections that are open.
func (s *Server) halt() (open []*Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start()
	if !s.closing {
		s.closing = true
		close(s.stop)
		if s.active == 0 {
			close(s.idle)
		}
	}
	for l := range s.listeners {
		l.Close()
	}
	for o := range s.openings.all() {
		o.abort()
	}
	for e := range s.sessions.all() {
		open = append(open, e.conn)
	}
	return open
}

// done ends one of the active goroutines. mu is held.
func (s *Server) done() {
	if s.active--; s.active == 0 && s.closing {
		close(s.idle)
	}
}
