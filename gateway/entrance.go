package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/websocket"
	wshandshake "github.com/handfast/handfast/websocket/handshake"
)

const (
	// The timeouts of plain HTTP requests. They no longer apply after an opening handshake, because WebSockets have their own timeouts.
	pageTimeout = 30 * time.Second
	idleTimeout = 60 * time.Second
	pageGrace   = time.Second // the time for HTTP requests to end on a shutdown; they take milliseconds
)

// entrance is the set of addresses that the server listens on. It handles each connection until its request is passed to the site.
// bind, serve, urls, close and wait must be called with the Server's lock held.
type entrance struct {
	rec        *recorder
	adm        *admission
	server     *websocket.Server // for upgrades; it contains the http.Server for all other requests
	bound      []*bound
	securePort atomic.Pointer[string] // the port to which requests without TLS are redirected; "" means there is none
	running    bool                   // serve was called, so new ports are served immediately
	serving    sync.WaitGroup         // one goroutine per port
	failed     chan error             // the first error of a listener
}

// newEntrance returns an entrance without addresses.
func newEntrance(rec *recorder, adm *admission, cfg config.HTTP) *entrance {
	s := &entrance{rec: rec, adm: adm, failed: make(chan error, 1)}
	pages := &http.Server{
		Handler:           http.HandlerFunc(s.front),
		ReadHeaderTimeout: time.Duration(cfg.HeadTimeout),
		ReadTimeout:       pageTimeout,
		WriteTimeout:      pageTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    int(cfg.MaxHead),
		ErrorLog:          slog.NewLogLogger(rec.log.Handler(), slog.LevelInfo),
		Protocols:         new(http.Protocols),
		BaseContext:       baseContext,
		ConnContext:       connContext,
	}
	pages.Protocols.SetHTTP1(true)
	s.server = &websocket.Server{
		HTTP:          pages,
		Preface:       s.preface,
		TLS:           func(ctx context.Context, _ net.Conn) *tls.Config { return peerOf(ctx).listener.tls() },
		TLSTimeout:    time.Duration(cfg.TLSTimeout),
		MaxHandshakes: adm.handshakeLimit,
		CountPages:    true,
		Hooks:         websocket.Hooks{Refused: s.recordRefusal},
	}
	return s
}

// serve serves every address, including those that are added later.
func (s *entrance) serve() {
	s.running = true
	for _, b := range s.bound {
		s.servePorts(b)
	}
}

// servePorts serves the ports of one address.
func (s *entrance) servePorts(b *bound) {
	for _, p := range b.ports {
		s.serving.Go(func() {
			err := s.server.Serve(p)
			if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case s.failed <- fmt.Errorf("accept connections on %s: %w", p.Addr(), err):
			default: // another listener has already failed
			}
		})
	}
}

// recordRefusal records a connection that failed before its first request. The endpoint records rejections by a handler.
func (s *entrance) recordRefusal(ctx context.Context, _ string, r *http.Request, err *websocket.HandshakeError) {
	switch p := peerOf(ctx); {
	case r != nil || p == nil:
	case err.Stage == wshandshake.StageEvicted:
		s.rec.cut(p)
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF): // the client has disconnected
	default:
		s.rec.early(p, err)
	}
}

// urls returns a URL for every address, except for those that only redirect to another one.
func (s *entrance) urls() []string {
	var urls []string
	for _, b := range s.bound {
		if !b.cfg.RedirectHTTPS {
			urls = append(urls, b.url)
		}
	}
	return urls
}

// close closes all addresses. The server must have been closed before.
func (s *entrance) close() {
	for _, b := range s.bound {
		b.close()
	}
}

// wait waits after close until all goroutines have ended, except for a target that does not return.
func (s *entrance) wait() {
	s.serving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), pageGrace)
	defer cancel()
	_ = s.server.Shutdown(ctx) // every connection has already been cut
}
