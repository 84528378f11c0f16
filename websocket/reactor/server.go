package reactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/websocket"
	front "github.com/handfast/handfast/websocket/internal/opening"
	"github.com/handfast/handfast/websocket/protocol"
)

// ErrServerClosed is returned by Serve, ServeTLS and Adopt after Shutdown or Close.
var ErrServerClosed = errors.New("reactor: the server is closed")

// Handler is what an application does with its connections. A nil function does nothing. For one connection they are
// called one at a time and in order, and Close last; for different connections concurrently. A panic in one of them
// closes the connection with 1011; its value and the stack are in the error that Close gets.
type Handler struct {
	// Open is called when the opening handshake is done.
	Open func(c *Conn)

	// Message is called for each message. Its Data is borrowed: it is the handler's until it returns, and may be
	// written to.
	Message func(c *Conn, m websocket.Message)

	// Close is called once for every connection that Open was called for, when it has ended. err is a
	// [*websocket.CloseError] and says how.
	Close func(c *Conn, err error)
}

// Server is an event loop, or several, and the connections on them. Its fields are set before it is used and then left
// alone; its methods may be called at once from anywhere. A Server must not be copied after its first use.
type Server struct {
	Handler Handler

	// Options say whom to let in, and how connections behave. Check may wait, as handlers may.
	//
	// Conn.WriteQueue bounds what waits for a peer that does not read. When half of it is reached, the connection is not
	// read from until three quarters of it are free. QueueBlock is an error of Serve: no method here waits.
	Options websocket.AcceptOptions

	// HeadTimeout bounds how long a client may take for its request, and before it for the handshake of TLS. 0
	// means 10 seconds.
	HeadTimeout time.Duration

	// MaxHead bounds the client's request, in bytes. 0 means 16 KiB. It may have 100 header fields.
	MaxHead int

	// Loops is how many goroutines wait for the kernel. 0 means runtime.GOMAXPROCS.
	Loops int

	// Set once, from the fields above.
	limits           protocol.Limits
	pingInterval     time.Duration
	closeTimeout     time.Duration
	handshakeTimeout time.Duration
	maxHead          int
	writeQueue       int
	heads            front.Limits
	rules            front.Rules

	http http.Server // what Check finds in its request's context; it serves nothing

	makeKernel func() (kernel, error) // nil: the system's

	loops   []*loop
	monitor monitor
	begun   atomic.Bool   // loops are there
	closed  atomic.Bool   // nobody is let in any more
	done    chan struct{} // closed when no more connections are let in
	over    chan struct{} // closed when the loops have ended
	turning atomic.Int32  // loops that have not
	running sync.WaitGroup

	mu      sync.Mutex
	err     error                  // why it cannot be started, or does not go on
	down    bool                   // nobody is let in any more
	stopped bool                   // the loops are told to end
	closers map[io.Closer]struct{} // listeners, and connections that are not in a loop yet
	empty   chan struct{}          // closed when the last connection has ended; made by who waits for that
	conns   atomic.Int64
}

const (
	defaultMaxMessage   = 1 << 20
	defaultPingInterval = 25 * time.Second
	defaultCloseTimeout = 5 * time.Second
	defaultWriteQueue   = 1 << 20
	defaultHandshake    = 10 * time.Second
	defaultMaxHead      = 16 << 10
)

var errPolicy = errors.New("reactor: Options.Conn.WriteQueue.Full must not be QueueBlock: no method of the event loop waits")

func or[T comparable](v, standard T) T {
	var zero T
	if v == zero {
		return standard
	}
	return v
}

// start starts the loops, once.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return ErrServerClosed
	}
	if s.begun.Load() || s.err != nil {
		return s.err
	}
	if s.err = s.configure(); s.err != nil {
		return s.err
	}
	if s.makeKernel == nil {
		s.makeKernel = newKernel
	}
	for range or(s.Loops, runtime.GOMAXPROCS(0)) {
		k, err := s.makeKernel()
		if err != nil {
			for _, l := range s.loops {
				l.k.release()
			}
			s.loops, s.err = nil, err
			return err
		}
		s.loops = append(s.loops, newLoop(s, k))
	}
	s.done, s.over = make(chan struct{}), make(chan struct{})
	s.closers = make(map[io.Closer]struct{})
	s.turning.Store(int32(len(s.loops)))
	for _, l := range s.loops {
		s.running.Add(1)
		go l.drive()
	}
	s.monitor.start(s)
	s.begun.Store(true)
	return nil
}

// configure fills in what the fields leave to us.
func (s *Server) configure() error {
	o := &s.Options.Conn
	s.limits = protocol.Limits{MaxMessage: or(o.MaxMessage, defaultMaxMessage), Fragments: protocol.MaxFragments}
	s.pingInterval = or(o.PingInterval, defaultPingInterval)
	s.closeTimeout = or(max(o.CloseTimeout, 0), defaultCloseTimeout)
	s.handshakeTimeout = or(s.HeadTimeout, defaultHandshake)
	s.maxHead = or(s.MaxHead, defaultMaxHead)
	s.writeQueue = or(max(o.WriteQueue.Bytes, 0), defaultWriteQueue)
	if o.WriteQueue.Full == websocket.QueueBlock {
		return errPolicy
	}
	return s.prepare()
}

// idlest returns the loop with the fewest connections, and own when there is none with fewer.
func (s *Server) idlest(own *loop) *loop {
	best, least := own, int64(1)<<62
	if own != nil {
		least = own.count.Load()
	}
	for _, l := range s.loops {
		if n := l.count.Load(); n < least {
			best, least = l, n
		}
	}
	return best
}

// enter gives c, whose descriptor is set, its place in l.
func (s *Server) enter(l *loop, c *Conn) *Conn {
	c.m.Limits = &s.limits
	s.conns.Add(1)
	l.add(c)
	l.after(c, s.handshakeTimeout)
	if s.closed.Load() { // who closes the connections may not have seen this one
		c.CloseNow()
	}
	return c
}

// left counts a connection out.
func (s *Server) left(l *loop) {
	defer l.left()
	if s.conns.Add(-1) > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty != nil && s.conns.Load() == 0 {
		close(s.empty)
		s.empty = nil
	}
}

// Len returns how many connections there are, with those that are not open yet or not closed yet.
func (s *Server) Len() int { return int(s.conns.Load()) }

// fail stops a server whose kernel gives up. That does not happen, but it must not be silent.
func (s *Server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		go s.Close()
	}
}

// refuse lets nobody in from here on.
func (s *Server) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return
	}
	s.down = true
	s.closed.Store(true)
	for x := range s.closers {
		x.Close()
	}
	if s.begun.Load() {
		close(s.done)
		for _, l := range s.loops {
			l.deafen()
		}
	}
}

// Shutdown ends the server in good order: no client is let in any more, every connection is closed with 1001, and
// Shutdown waits until all have ended, each bounded by CloseTimeout, and their handlers have returned. When ctx ends
// first, the connections left are broken off, and its error is returned. It must not be called by a handler.
func (s *Server) Shutdown(ctx context.Context) error {
	s.refuse()
	return s.drain(ctx, func(c *Conn) { c.Shut(websocket.CodeGoingAway, "") }) //nolint:errcheck // the code is a valid one
}

// Close ends the server at once: connections break off. It does not wait for handlers.
func (s *Server) Close() error {
	s.refuse()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.drain(ctx, (*Conn).CloseNow) //nolint:errcheck // it was told not to wait
	return nil
}

func (s *Server) drain(ctx context.Context, closeConn func(*Conn)) error {
	if !s.begun.Load() {
		return nil
	}
	s.each(closeConn)
	s.mu.Lock()
	var empty chan struct{}
	if s.conns.Load() > 0 {
		if s.empty == nil {
			s.empty = make(chan struct{})
		}
		empty = s.empty
	}
	s.mu.Unlock()
	var err error
	if empty != nil {
		select {
		case <-empty:
		case <-ctx.Done():
			s.each((*Conn).CloseNow)
			err = fmt.Errorf("reactor: shutdown: %w", context.Cause(ctx))
		}
	}
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		for _, l := range s.loops {
			l.stop()
		}
	}
	s.mu.Unlock()
	if err == nil {
		s.running.Wait()
	}
	return err
}

// each calls f for all connections.
func (s *Server) each(f func(*Conn)) {
	for _, l := range s.loops {
		l.mu.Lock()
		all := make([]*Conn, 0, len(l.slots))
		for _, c := range l.slots {
			if c != nil {
				all = append(all, c)
			}
		}
		l.mu.Unlock()
		for _, c := range all {
			f(c)
		}
	}
}
