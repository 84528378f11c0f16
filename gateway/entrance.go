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
	http       *http.Server
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
	s.http = &http.Server{
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
	s.http.Protocols.SetHTTP1(true)
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
			err := s.http.Serve(d)
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
	s.http.Close()
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
