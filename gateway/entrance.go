package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway/internal/door"
	"github.com/handfast/handfast/websocket"
)

const (
	// The bounds on a request for a page. They end with the opening handshake: a WebSocket has its own.
	pageTimeout = 30 * time.Second
	idleTimeout = 60 * time.Second
	pageGrace   = time.Second // what a stop gives requests for pages, which take milliseconds
)

// entrance is the addresses that the server listens on, and what a connection goes through until its request is the
// site's. bind, serve, urls, close and wait are called with the lock of the Server held.
type entrance struct {
	rec        *recorder
	adm        *admission
	server     *websocket.Server // of upgrades, and in it the http.Server of everything else
	waiting    *door.Waiting
	peers      door.Peers
	bound      []*bound
	securePort atomic.Pointer[string] // where pages without TLS are redirected to; "": nowhere
	running    bool                   // serve was called: new doors are served immediately
	serving    sync.WaitGroup         // one goroutine for each door
	failed     chan error             // the first error of a listener
}

// newEntrance makes one without addresses. pending is the bound on connections in their handshake.
func newEntrance(rec *recorder, adm *admission, cfg config.HTTP, pending func() int) *entrance {
	s := &entrance{rec: rec, adm: adm, failed: make(chan error, 1), waiting: door.NewWaiting(pending, adm.isProxy, rec.cut)}
	pages := &http.Server{
		Handler:           http.HandlerFunc(s.front),
		ReadHeaderTimeout: time.Duration(cfg.HeadTimeout),
		ReadTimeout:       pageTimeout,
		WriteTimeout:      pageTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    int(cfg.MaxHead),
		ErrorLog:          slog.NewLogLogger(rec.log.Handler(), slog.LevelInfo),
		Protocols:         new(http.Protocols),
		ConnContext:       s.connContext,
		ConnState:         s.peers.ConnState,
	}
	pages.Protocols.SetHTTP1(true)
	s.server = &websocket.Server{
		HTTP:          pages,
		MaxHandshakes: func(net.Addr) int { return -1 }, // the doors see to that, which know whose connection it is
		Hooks:         websocket.Hooks{Refused: s.refused},
	}
	return s
}

// serve answers on every address, and on those that come later.
func (s *entrance) serve() {
	s.running = true
	for _, b := range s.bound {
		s.serveDoors(b)
	}
}

// serveDoors answers on the doors of one address.
func (s *entrance) serveDoors(b *bound) {
	for _, d := range b.doors {
		s.serving.Go(func() {
			err := s.server.Serve(d)
			if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case s.failed <- fmt.Errorf("accept connections on %s: %w", d.Addr(), err):
			default: // another one has failed before
			}
		})
	}
}

// refused records a connection whose request for a WebSocket could not be read. What a handler refuses is the endpoint's to
// record.
func (s *entrance) refused(remote string, r *http.Request, err *websocket.HandshakeError) {
	if p := s.peers.From(remote); p != nil && r == nil {
		s.failedDoor(p, string(err.Stage), fmt.Errorf("%w: %w", door.ErrHead, err.Err))
	}
}

// urls returns an URL for every address, except for those that only redirect to another one.
func (s *entrance) urls() []string {
	var urls []string
	for _, b := range s.bound {
		if !b.cfg.RedirectHTTPS {
			urls = append(urls, b.url)
		}
	}
	return urls
}

// close ends every address, and every request.
func (s *entrance) close() {
	s.server.Close() //nolint:errcheck // it returns nil
	for _, b := range s.bound {
		b.close()
	}
}

// wait waits until nothing runs any more after a close.
func (s *entrance) wait() {
	s.serving.Wait()
	for _, b := range slices.Clone(s.bound) {
		b.wait()
	}
}
