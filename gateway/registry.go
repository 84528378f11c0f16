package gateway

import (
	"context"
	"net/http"
	"sync"

	"github.com/handfast/handfast/websocket"
)

// registry knows every WebSocket of a server: http.Server forgets a connection once it is hijacked. It bounds their
// number, and closes them at the end. Its methods may be called from any goroutine.
type registry struct {
	max int

	mu       sync.Mutex
	taken    int // places given out: connections, and handshakes that may become one
	conns    map[*websocket.Conn]struct{}
	draining bool
	cutting  bool          // the drain has run out of time
	left     int           // connections that left during the drain
	idle     chan struct{} // closed when it drains and no place is taken
}

func newRegistry(limit int) *registry {
	return &registry{max: limit, conns: make(map[*websocket.Conn]struct{}), idle: make(chan struct{})}
}

// errStopping and errFull keep a client out, for now.
var (
	errStopping = &websocket.Reject{
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {"5"}},
		Reason: "The server is stopping.",
	}
	errFull = &websocket.Reject{
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {"30"}},
		Reason: "The server holds as many connections as it may.",
	}
)

// enter takes a place for a connection to come. Without an error, leave must give it back.
func (g *registry) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return errStopping
	case g.taken >= g.max:
		return errFull
	}
	g.taken++
	return nil
}

// add puts a connection on a place that was taken. It reports false when the drain has begun meanwhile: then the caller
// is to close it.
func (g *registry) add(c *websocket.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = struct{}{}
	if g.cutting {
		c.CloseNow()
	}
	return !g.draining
}

// leave gives a place back. c is nil when no connection came of it.
func (g *registry) leave(c *websocket.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
	if c != nil {
		delete(g.conns, c)
		g.left++
	}
	if g.draining && g.taken == 0 {
		close(g.idle)
	}
}

// size returns how many connections are open.
func (g *registry) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// goAway is what every connection is told when the server goes down.
const goAway = "the server is stopping"

// drain lets nobody in any more, closes every connection with 1001 and waits until their handlers have left. When ctx
// ends first it cuts what is left. It returns how many ended either way, and is called once.
func (g *registry) drain(ctx context.Context) (closed, cut int) {
	g.mu.Lock()
	g.draining, g.left = true, 0
	if g.taken == 0 {
		close(g.idle)
	}
	open := make([]*websocket.Conn, 0, len(g.conns))
	for c := range g.conns {
		open = append(open, c)
	}
	g.mu.Unlock()

	var closing sync.WaitGroup
	for _, c := range open {
		// An error says that the peer did not answer. There is nobody left to tell.
		closing.Go(func() { _ = c.Close(websocket.CodeGoingAway, goAway) })
	}
	select {
	case <-g.idle:
	case <-ctx.Done():
		g.mu.Lock()
		g.cutting = true
		cut = len(g.conns)
		for c := range g.conns {
			c.CloseNow()
		}
		g.mu.Unlock()
		<-g.idle
	}
	closing.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.left - cut, cut
}
